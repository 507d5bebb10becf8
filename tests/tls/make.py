#!/usr/bin/env python3
"""Makes the certificates in this folder, which host tests use, anew. They are valid as long as the
tests need them to be; the private keys protect nothing. Needs the package cryptography."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = pathlib.Path(__file__).parent


def year(number):
    return datetime.datetime(number, 1, 1)


def write_key(name, key, form=serialization.PrivateFormat.PKCS8):
    (HERE / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            form,
            serialization.NoEncryption(),
        )
    )


def certificate(name, key, issuer, names, years=(2020, 2090), usage=ExtendedKeyUsageOID.SERVER_AUTH):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, by_key = issuer or (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(year(years[0]))
        .not_valid_after(year(years[1]))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        alternatives = [x509.DNSName(it) for it in names if not it[0].isdigit()]
        alternatives += [x509.IPAddress(ipaddress.ip_address(it)) for it in names if it[0].isdigit()]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    large = isinstance(by_key, ec.EllipticCurvePrivateKey) and by_key.curve.key_size == 384
    made = builder.sign(by_key, hashes.SHA384() if large else hashes.SHA256())
    (HERE / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return subject, key


def p256():
    return ec.generate_private_key(ec.SECP256R1())


ca = certificate("ca", p256(), None, [])
other = certificate("other-ca", p256(), None, [])
key = p256()
write_key("server", key)
# The same in SEC 1.
write_key("server-sec1", key, serialization.PrivateFormat.TraditionalOpenSSL)
certificate("server", key, ca, ["www.lab", "10.0.0.2"])
certificate("second", key, ca, ["second.lab"])
certificate("expired", key, ca, ["www.lab"], (2020, 2021))
certificate("early", key, ca, ["www.lab"], (2089, 2090))
certificate("stranger", key, other, ["www.lab"])
edwards = ed25519.Ed25519PrivateKey.generate()
write_key("edwards", edwards)
certificate("edwards", edwards, ca, ["www.lab"])
client = p256()
write_key("client", client)
certificate("client", client, ca, ["client.lab"], usage=ExtendedKeyUsageOID.CLIENT_AUTH)
# Signed by RSA and by P-384, which clients verify.
strong = certificate("rsa-ca", rsa.generate_private_key(65537, 2048), None, [])
certificate("by-rsa", key, strong, ["www.lab"])
wide = certificate("p384-ca", ec.generate_private_key(ec.SECP384R1()), None, [])
certificate("by-p384", key, wide, ["www.lab"])
# Of a size that nobody takes, and what it has signed.
short = certificate("short-rsa", rsa.generate_private_key(65537, 1024), None, [])
certificate("by-short-rsa", key, short, ["www.lab"])
certificate("client-by-short-rsa", client, short, ["client.lab"], usage=ExtendedKeyUsageOID.CLIENT_AUTH)
