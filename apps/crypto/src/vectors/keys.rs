//! Vectors of key exchange and signatures.

use super::{Exchange, Signed};
use hex_literal::hex;

/// X25519. A shared secret of zeros is none.
pub(crate) const X25519: &[Exchange] = &[
    Exchange {
        from: "RFC 7748, section 5.2",
        private: &hex!("a046e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449a44"),
        public: &hex!("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
        shared: Some(&hex!("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")),
    },
    Exchange {
        from: "RFC 7748, section 5.2",
        private: &hex!("4866e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba4d"),
        public: &hex!("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413"),
        shared: Some(&hex!("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")),
    },
    Exchange {
        from: "Wycheproof x25519 2",
        private: &hex!("d85d8c061a50804ac488ad774ac716c3f5ba714b2712e048491379a500211958"),
        public: &hex!("63aa40c6e38346c5caf23a6df0a5e6c80889a08647e551b3563449befcfc9733"),
        shared: Some(&hex!("279df67a7c4611db4708a0e8282b195e5ac0ed6f4b2f292c6fbd0acac30d1332")),
    },
    Exchange {
        from: "Wycheproof x25519 34",
        private: &hex!("a8386f7f16c50731d64f82e6a170b142a4e34f31fd7768fcb8902925e7d1e25a"),
        public: &hex!("0400000000000000000000000000000000000000000000000000000000000000"),
        shared: Some(&hex!("34b7e4fa53264420d9f943d15513902342b386b172a0b0b7c8b8f2dd3d669f59")),
    },
    Exchange {
        from: "Wycheproof x25519 103",
        private: &hex!("60a3a4f130b98a5be4b1cedb7cb85584a3520e142d474dc9ccb909a073a9767f"),
        public: &hex!("b7b6d39c765cb60c0c8542f4f3952ffb51d3002d4aeb9f8ff988b192043e6d0a"),
        shared: Some(&hex!("0200000000000000000000000000000000000000000000000000000000000000")),
    },
    Exchange {
        from: "Wycheproof x25519 32",
        private: &hex!("88227494038f2bb811d47805bcdf04a2ac585ada7f2f23389bfd4658f9ddd45e"),
        public: &hex!("0000000000000000000000000000000000000000000000000000000000000000"),
        shared: None,
    },
    Exchange {
        from: "Wycheproof x25519 33",
        private: &hex!("48232e8972b61c7e61930eb9450b5070eae1c670475685541f0476217e48184f"),
        public: &hex!("0100000000000000000000000000000000000000000000000000000000000000"),
        shared: None,
    },
    Exchange {
        from: "Wycheproof x25519 63",
        private: &hex!("e0f978dfcd3a8f1a5093418de54136a584c20b7b349afdf6c0520886f95b1272"),
        public: &hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        shared: None,
    },
];

/// ECDH by P-256.
pub(crate) const P256: &[Exchange] = &[
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 1",
        private: &hex!("0612465c89a023ab17855b0a6bcebfd3febb53aef84138647b5352e02c10c346"),
        public: &hex!(
            "0462d5bd3372af75fe85a040715d0f502428e07046868b0bfdfa61d731afe44f26ac333a"
            "93a9e70a81cd5a95b5bf8d13990eb741c8c38872b4a07d275a014e30cf"
        ),
        shared: Some(&hex!("53020d908b0219328b658b525f26780e3ae12bcd952bb25a93bc0895e1714285")),
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 3",
        private: &hex!("0a0d622a47e48f6bc1038ace438c6f528aa00ad2bd1da5f13ee46bf5f633d71a"),
        public: &hex!(
            "0458fd4168a87795603e2b04390285bdca6e57de6027fe211dd9d25e2212d29e62080d36"
            "bd224d7405509295eed02a17150e03b314f96da37445b0d1d29377d12c"
        ),
        shared: Some(&hex!("0000000000000000000000000000000000000000000000000000000000000000")),
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 48",
        private: &hex!("55d55f11bb8da1ea318bca7266f0376662441ea87270aa2077f1b770c4854a48"),
        public: &hex!(
            "047fffffffffffffffffffffffeecf2230ffffffffffffffffffffffffffffffff000000"
            "01c7c30643abed0af0a49fe352cb483ff9b97dccdf427c658e8793240d"
        ),
        shared: Some(&hex!("6fd26661851a8de3c6d06f834ef3acb8f2a5f9c136a985ffe10d5eeb51edcfa3")),
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 111",
        private: &hex!("e461c5b5e63d75b4c8c123bf8b9cd45e712af08f7e2e494a8f255ac9d80e058b"),
        public: &hex!(
            "04851eb1b8699d1cc01c6b6048139797dab3981c924f9ef81bd1f464c3182c870901285b"
            "2ae7cbcabfd5bccb9441eb3376b491595f60a1ec21dbe9f972bc32abbe"
        ),
        shared: Some(&hex!("6d03fef6b354840f4642fba1c8fce9f7d1cda8ae27b6ca01510fb44573fdaffb")),
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 330",
        private: &hex!("2a265f8bcbdcaf94d58519141e578124cb40d64a501fba9c11847b28965bc737"),
        public: &hex!(
            "04023819813ac969847059028ea88a1f30dfbcde03fc791d3a252c6b41211882eaf93e4a"
            "e433cc12cf2a43fc0ef26400c0e125508224cdb649380f25479148a4ad"
        ),
        shared: Some(&hex!("4d4de80f1534850d261075997e3049321a0864082d24a917863366c0724f5ae3")),
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 332",
        private: &hex!("7e4aa54f714bf01df85c50269bea3a86721f84afe74f7b41ea58abcf3474e88d"),
        public: &hex!(
            "040000000000000000000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000"
        ),
        shared: None,
    },
    Exchange {
        from: "Wycheproof ecdh_secp256r1_ecpoint 350",
        private: &hex!("d27edf0ff5b6b6b465753e7158370332c153b468a1be087ad0f490bdb99e5f02"),
        public: &hex!("03efdde3b32872a9effcf3b94cbf73aa7b39f9683ece9121b9852167f4e3da609b"),
        shared: None,
    },
];

/// ECDSA by P-256 and SHA-256.
pub(crate) const ECDSA: &[Signed] = &[
    Signed {
        from: "RFC 6979, section A.2.5",
        key: &hex!(
            "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe"
            "1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        ),
        message: b"sample",
        signature: &hex!(
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf37"
            "16022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        ),
        good: true,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 1",
        key: &hex!(
            "0404aaec73635726f213fb8a9e64da3b8632e41495a944d0045b522eba7240fad587d931"
            "5798aaa3a5ba01775787ced05eaaf7b4e09fc81d6d1aa546e8365d525d"
        ),
        message: &[],
        signature: &hex!(
            "3045022100b292a619339f6e567a305c951c0dcbcc42d16e47f219f9e98e76e09d8770b3"
            "4a02200177e60492c5a8242f76f07bfe3661bde59ec2a17ce5bd2dab2abebdf89a62e2"
        ),
        good: true,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 6",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "304402202ba3a8be6b94d5ec80a6d9d1190a436effe50d85a1eee859b8cc6af9bd5c2e18"
            "0220b329f479a2bbd0a5c384ee1493b1f5186a87139cac5df4087c134b49156847db"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 8",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "30814502202ba3a8be6b94d5ec80a6d9d1190a436effe50d85a1eee859b8cc6af9bd5c2e"
            "18022100b329f479a2bbd0a5c384ee1493b1f5186a87139cac5df4087c134b49156847db"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 152",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "30460221012ba3a8bd6b94d5ed80a6d9d1190a436ebccc0833490686deac8635bcb9bf53"
            "69022100b329f479a2bbd0a5c384ee1493b1f5186a87139cac5df4087c134b49156847db"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 156",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "3046022100d45c5740946b2a147f59262ee6f5bc90bd01ed280528b62b3aed5fc93f06f7"
            "39022100b329f479a2bbd0a5c384ee1493b1f5186a87139cac5df4087c134b49156847db"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 168",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!("3006020100020100"),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 295",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("3639383139"),
        signature: &hex!(
            "3044022064a1aab5000d0e804f3e2fc02bdee9be8ff312334e2ba16d11547c97711c898e"
            "02206af015971cc30be6d1a206d4e013e0997772a2f91d73286ffd683b9bb2cf4f1b"
        ),
        good: true,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 296",
        key: &hex!(
            "042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c77879"
            "64eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
        ),
        message: &hex!("343236343739373234"),
        signature: &hex!(
            "3044022016aea964a2f6506d6f78c81c91fc7e8bded7d397738448de1e19a0ec580bf266"
            "0220252cd762130c6667cfe8b7bc47d27d78391e8e80c578d1cd38c3ff033be928e9"
        ),
        good: true,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 351",
        key: &hex!(
            "040ad99500288d466940031d72a9f5445a4d43784640855bf0a69874d2de5fe103c5011e"
            "6ef2c42dcd50d5d3d29f99ae6eba2c80c9244f4c5422f0979ff0c3ba5e"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "3046022100ffffffff00000001000000000000000000000000ffffffffffffffffffffff"
            "fc022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254e"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 392",
        key: &hex!(
            "04b533d4695dd5b8c5e07757e55e6e516f7e2c88fa0239e23f60e8ec07dd70f2871b134e"
            "e58cc583278456863f33c3a85d881f7d4a39850143e29d4eaf009afe47"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "304402207fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"
            "0220555555550000000055555555555555553ef7a8e48d07df81a693439654210c70"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ecdsa_secp256r1_sha256 427",
        key: &hex!(
            "045b812fd521aafa69835a849cce6fbdeb6983b442d2444fe70e134c027fc46963838a40"
            "f2a36092e9004e92d8d940cf5638550ce672ce8b8d4e15eba5499249e9"
        ),
        message: &hex!("313233343030"),
        signature: &hex!(
            "304502206f2347cab7dd76858fe0555ac3bc99048c4aacafdfb6bcbe05ea6c42c4934569"
            "022100bb726660235793aa9957a61e76e00c2c435109cf9a15dd624d53f4301047856b"
        ),
        good: true,
    },
];

/// Ed25519.
pub(crate) const ED25519: &[Signed] = &[
    Signed {
        from: "RFC 8032, section 7.1, test 1",
        key: &hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        message: &[],
        signature: &hex!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215"
            "90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        good: true,
    },
    Signed {
        from: "RFC 8032, section 7.1, test 2",
        key: &hex!("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
        message: &hex!("72"),
        signature: &hex!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e4"
            "3e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        good: true,
    },
    Signed {
        from: "RFC 8032, section 7.1, test 3",
        key: &hex!("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
        message: &hex!("af82"),
        signature: &hex!(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b53"
            "8d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
        good: true,
    },
    Signed {
        from: "Wycheproof ed25519 10",
        key: &hex!("7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa"),
        message: &hex!("3f"),
        signature: &hex!(
            "000000000000000000000000000000000000000000000000000000000000000000000000"
            "00000000000000000000000000000000000000000000000000000000"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ed25519 31",
        key: &hex!("7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa"),
        message: &hex!("54657374"),
        signature: &hex!("7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab0"),
        good: false,
    },
    Signed {
        from: "Wycheproof ed25519 42",
        key: &hex!("7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa"),
        message: &hex!("313233343030"),
        signature: &hex!(
            "647c1492402ab5ce03e2c3a7f0384d051b9cf3570f1207fc78c1bcc98c281c2b1d125e55"
            "38f38afbcc1c84e489521083041d24bc6240767029da063271a1ff0c"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ed25519 63",
        key: &hex!("7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa"),
        message: &hex!("54657374"),
        signature: &hex!(
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab067654bce"
            "3832c2d76f8f6f5dafc08d9339d4eef676573336a5c51eb6f946b31d"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ed25519 85",
        key: &hex!("100fdf47fb94f1536a4f7c3fda27383fa03375a8f527c537e6f1703c47f94f86"),
        message: &hex!("6a0bc2b0057cedfc0fa2e3f7f7d39279b30f454a69dfd1117c758d86b19d85e0"),
        signature: &hex!(
            "0971f86d2c9c78582524a103cb9cf949522ae528f8054dc20107d999be673ff4e25ebf2f"
            "2928766b1248bec6e91697775f8446639ede46ad4df4053000000010"
        ),
        good: false,
    },
    Signed {
        from: "Wycheproof ed25519 119",
        key: &hex!("4abfb535313705a6570018440cdec1a3ae33e51f352112fa6acbd0c6bc3ea859"),
        message: &hex!("321b5f663c19e30ee7bbb85e48ecf44db9d3f512"),
        signature: &hex!(
            "f296715e855d8aecccba782b670163dedc4458fe4eb509a856bcac450920fd2e95a3a3eb"
            "212d2d9ccaf948c39ae46a2548af125f8e2ad9b77bd18f92d59f9200"
        ),
        good: true,
    },
];

/// Signing by ECDSA with P-256, SHA-256 and numbers that are derived from the message.
pub(crate) const SIGN_ECDSA: &[Signed] = &[Signed {
    from: "RFC 6979, section A.2.5",
    key: &hex!("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"),
    message: b"sample",
    signature: &hex!(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    ),
    good: true,
}];

/// Signing by Ed25519.
pub(crate) const SIGN_ED25519: &[Signed] = &[Signed {
    from: "RFC 8032, section 7.1, test 3",
    key: &hex!("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"),
    message: &hex!("af82"),
    signature: &hex!(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
    good: true,
}];
