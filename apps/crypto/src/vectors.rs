//! The vectors: published ones of the standards, and a few of Wycheproof's, of each sort of
//! mistake one, by the numbers that they have there (`testvectors_v1`). The whole of Wycheproof is
//! a test of `xenith-tls`.

mod keys;

use hex_literal::hex;
pub(crate) use keys::{ECDSA, ED25519, P256, SIGN_ECDSA, SIGN_ED25519, X25519};

/// A message that is encrypted and authenticated.
#[derive(Clone, Copy)]
pub(crate) struct Aead {
    pub(crate) from: &'static str,
    pub(crate) key: &'static [u8],
    pub(crate) nonce: &'static [u8],
    pub(crate) aad: &'static [u8],
    pub(crate) text: &'static [u8],
    /// With the tag behind it.
    pub(crate) sealed: &'static [u8],
    /// Whether it is to be taken.
    pub(crate) good: bool,
}

/// An exchange of keys.
#[derive(Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) from: &'static str,
    pub(crate) private: &'static [u8],
    pub(crate) public: &'static [u8],
    /// Nothing where the public key is to be refused.
    pub(crate) shared: Option<&'static [u8]>,
}

/// A signature.
#[derive(Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) from: &'static str,
    pub(crate) key: &'static [u8],
    pub(crate) message: &'static [u8],
    pub(crate) signature: &'static [u8],
    /// Whether it is one.
    pub(crate) good: bool,
}

/// A hash, with a key or without.
#[derive(Clone, Copy)]
pub(crate) struct Digest {
    pub(crate) from: &'static str,
    pub(crate) key: &'static [u8],
    pub(crate) message: &'static [u8],
    pub(crate) digest: &'static [u8],
}

/// AES-128-GCM.
pub(crate) const AES_128_GCM: &[Aead] = &[
    Aead {
        from: "McGrew and Viega, test case 2",
        key: &hex!("00000000000000000000000000000000"),
        nonce: &hex!("000000000000000000000000"),
        aad: &[],
        text: &hex!("00000000000000000000000000000000"),
        sealed: &hex!("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"),
        good: true,
    },
    Aead {
        from: "McGrew and Viega, test case 4",
        key: &hex!("feffe9928665731c6d6a8f9467308308"),
        nonce: &hex!("cafebabefacedbaddecaf888"),
        aad: &hex!("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        text: &hex!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95"
            "956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        sealed: &hex!(
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b2"
            "5466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95a"
            "e7121a47"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof aes_gcm 39",
        key: &hex!("00112233445566778899aabbccddeeff"),
        nonce: &hex!("000000000000000000000000"),
        aad: &[],
        text: &hex!("ebd4a3e10cf6d41c50aeae007563b072"),
        sealed: &hex!("f62d84d649e56bc8cfedc5d74a51e2f7ffffffffffffffffffffffffffffffff"),
        good: true,
    },
    Aead {
        from: "Wycheproof aes_gcm 41",
        key: &hex!("000102030405060708090a0b0c0d0e0f"),
        nonce: &hex!("505152535455565758595a5b"),
        aad: &[],
        text: &hex!("202122232425262728292a2b2c2d2e2f"),
        sealed: &hex!("eb156d081ed6b6b55f4612f021d87b39d9847dbc326a06e988c77ad3863e6083"),
        good: false,
    },
    Aead {
        from: "Wycheproof aes_gcm 42",
        key: &hex!("000102030405060708090a0b0c0d0e0f"),
        nonce: &hex!("505152535455565758595a5b"),
        aad: &[],
        text: &hex!("202122232425262728292a2b2c2d2e2f"),
        sealed: &hex!("eb156d081ed6b6b55f4612f021d87b39da847dbc326a06e988c77ad3863e6083"),
        good: false,
    },
];

/// AES-256-GCM.
pub(crate) const AES_256_GCM: &[Aead] = &[
    Aead {
        from: "McGrew and Viega, test case 16",
        key: &hex!("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
        nonce: &hex!("cafebabefacedbaddecaf888"),
        aad: &hex!("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        text: &hex!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95"
            "956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        sealed: &hex!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48"
            "590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853"
            "bb2d551b"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof aes_gcm 128",
        key: &hex!("00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f"),
        nonce: &hex!("000000000000000000000000"),
        aad: &[],
        text: &hex!("561008fa07a68f5c61285cd013464eaf"),
        sealed: &hex!("23293e9b07ca7d1b0cae7cc489a973b3ffffffffffffffffffffffffffffffff"),
        good: true,
    },
    Aead {
        from: "Wycheproof aes_gcm 130",
        key: &hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        nonce: &hex!("505152535455565758595a5b"),
        aad: &[],
        text: &hex!("202122232425262728292a2b2c2d2e2f"),
        sealed: &hex!("b2061457c0759fc1749f174ee1ccadfa9de8fef6d8ab1bf1bf887232eab590dd"),
        good: false,
    },
    Aead {
        from: "Wycheproof aes_gcm 131",
        key: &hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        nonce: &hex!("505152535455565758595a5b"),
        aad: &[],
        text: &hex!("202122232425262728292a2b2c2d2e2f"),
        sealed: &hex!("b2061457c0759fc1749f174ee1ccadfa9ee8fef6d8ab1bf1bf887232eab590dd"),
        good: false,
    },
];

/// ChaCha20-Poly1305.
pub(crate) const CHACHA20_POLY1305: &[Aead] = &[
    Aead {
        from: "RFC 8439, section 2.8.2",
        key: &hex!("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
        nonce: &hex!("070000004041424344454647"),
        aad: &hex!("50515253c0c1c2c3c4c5c6c7"),
        text: &hex!(
            "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66"
            "202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e6520"
            "74697020666f7220746865206675747572652c2073756e73637265656e20776f756c6420"
            "62652069742e"
        ),
        sealed: &hex!(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e"
            "8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c"
            "9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d265"
            "86cec64b61161ae10b594f09e26a7e902ecbd0600691"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof chacha20_poly1305 206",
        key: &hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        nonce: &hex!("000102030405060710abb165"),
        aad: &hex!(
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        ),
        text: &hex!(
            "dc8ce708bf26aab862d97e1b42f31ef38c382cf07174142ea564920612997b1c2e38aca2"
            "438b588d5459493e97e7fa330ff9bc3b9458297ba0967d86ed090b435103478f2869b93e"
            "e29c837e95fb6b9903f3b735b7345428eb93b3db1d9b5187cebb889aa177d83e4f63fc9a"
            "5c0596eed939883d06aacdfdea44fdecdf5cb7fc"
        ),
        sealed: &hex!(
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffc296436246c3a7c4b3ba09ab2a6a0889"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof chacha20_poly1305 226",
        key: &hex!("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"),
        nonce: &hex!("000102030405060708090a0b"),
        aad: &hex!("ffffffffffffffffffffffffffffffff415771fda4fbcc55c377f73203e60226"),
        text: &hex!(
            "e48caf8a76183327c9561a4651c07c822ccd1642c06607d0d4bc0afb4de15915dbfa3b0b"
            "422e77e15c64bf6247031f15fdb643117809821870000adf83834da5"
        ),
        sealed: &hex!(
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff0001020304050607"
            "08090a0b0c0d0e0f"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof chacha20_poly1305 233",
        key: &hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        nonce: &hex!("000102030405060710abb165"),
        aad: &hex!("ffffffff"),
        text: &hex!(
            "c68ce708bf26aab862d97e1b42f31ef37bb66f8090c149e452ec7f20327eb2ea2e38aca2"
            "438b588d5459493e97e7fa330ff9bc23c897df6b00af86931d6c81555103478f2869b93e"
            "e29c837e95fb6b9903f3b72debfba2384baa48ceedfedb91"
        ),
        sealed: &hex!(
            "e5ffffffffffffffffffffffffffffff0871bc8f1e4aa235087712d9df183609ffffffff"
            "ffffffffffffffffffffffffffffffe7a33009ef5fc604ea0f9a75e9ffffffffffffffff"
            "ffffffffffffffffffffffe7a33009ef5fc604ea0f9a75e93572162777262c518eef573b"
            "720e8e64"
        ),
        good: true,
    },
    Aead {
        from: "Wycheproof chacha20_poly1305 146",
        key: &hex!("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"),
        nonce: &hex!("000102030405060708090a0b"),
        aad: &hex!("000102"),
        text: &[],
        sealed: &hex!("f5409bb729039d0814ac514054323f44"),
        good: false,
    },
    Aead {
        from: "Wycheproof chacha20_poly1305 148",
        key: &hex!("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"),
        nonce: &hex!("000102030405060708090a0b"),
        aad: &hex!("000102"),
        text: &[],
        sealed: &hex!("74409bb729039d0814ac514054323f44"),
        good: false,
    },
];

/// SHA-256.
pub(crate) const SHA256: &[Digest] = &[
    Digest {
        from: "FIPS 180-4, examples of NIST",
        key: &[],
        message: b"abc",
        digest: &hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    },
    Digest {
        from: "FIPS 180-4, examples of NIST",
        key: &[],
        message: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        digest: &hex!("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    },
];

/// SHA-384.
pub(crate) const SHA384: &[Digest] = &[
    Digest {
        from: "FIPS 180-4, examples of NIST",
        key: &[],
        message: b"abc",
        digest: &hex!(
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072b"
            "a1e7cc2358baeca134c825a7"
        ),
    },
    Digest {
        from: "FIPS 180-4, examples of NIST",
        key: &[],
        message: b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        digest: &hex!(
            "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712fcc7c71a"
            "557e2db966c3e9fa91746039"
        ),
    },
];

/// HMAC-SHA-256.
pub(crate) const HMAC_SHA256: &[Digest] = &[
    Digest {
        from: "RFC 4231, section 4.2",
        key: &[0x0b; 20],
        message: b"Hi There",
        digest: &hex!("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    },
    Digest {
        from: "RFC 4231, section 4.3",
        key: b"Jefe",
        message: b"what do ya want for nothing?",
        digest: &hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    },
    Digest {
        from: "RFC 4231, section 4.7",
        key: &[0xaa; 131],
        message: b"Test Using Larger Than Block-Size Key - Hash Key First",
        digest: &hex!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    },
];

/// HMAC-SHA-384.
pub(crate) const HMAC_SHA384: &[Digest] = &[
    Digest {
        from: "RFC 4231, section 4.2",
        key: &[0x0b; 20],
        message: b"Hi There",
        digest: &hex!(
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9"
            "076ede7f4af152e8b2fa9cb6"
        ),
    },
    Digest {
        from: "RFC 4231, section 4.3",
        key: b"Jefe",
        message: b"what do ya want for nothing?",
        digest: &hex!(
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca"
            "5e69e2c78b3239ecfab21649"
        ),
    },
    Digest {
        from: "RFC 4231, section 4.7",
        key: &[0xaa; 131],
        message: b"Test Using Larger Than Block-Size Key - Hash Key First",
        digest: &hex!(
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab"
            "4030fe8296248df163f44952"
        ),
    },
];
