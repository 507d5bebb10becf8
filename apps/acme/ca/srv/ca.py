"""A CA that speaks ACME (RFC 8555), for the test of `acme`: in Debian's Python, by certbot's own
library for JOSE and by OpenSSL.

It holds its client to the RFC, and is unfriendly where it may be: the first nonce is refused, a
challenge and an order take a moment. Certificates are for names of the guest at GUEST; the first one
is valid for two minutes, others for a day. What is wrong with the client goes to /srv/wrong.
"""

import base64
import datetime
import http.client
import http.server
import json
import os
import secrets
import ssl
import sys
import threading
import time
import traceback

import josepy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BASE = "https://www.lab:14000"
TERMS = BASE + "/terms"
GUEST = os.environ["GUEST"]
SHORT = datetime.timedelta(minutes=2)
LONG = datetime.timedelta(days=1)

lock = threading.Lock()
nonces = set()
accounts = {}
orders = {}
proofs = {}
certificates = {}
refused = []


class Wrong(Exception):
    """The client breaks the RFC."""


class Problem(Exception):
    """The client is told so."""


def expect(true, what):
    if not true:
        raise Wrong(what)


def decoded(text):
    expect("=" not in text, "base64url has no padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(subject, key, issuer, by, validity, more):
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now, now + validity)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def private(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


ca = [(x509.BasicConstraints(True, None), True)]
root_key, middle_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
root = sign(named("root"), root_key.public_key(), named("root"), root_key, LONG, ca)
middle = sign(named("middle"), middle_key.public_key(), named("root"), root_key, LONG, ca)
own = sign(named("www.lab"), own_key.public_key(), named("root"), root_key, LONG,
           [(x509.SubjectAlternativeName([x509.DNSName("www.lab")]), False)])
open("/srv/root.pem", "wb").write(pem(root))
open("/srv/own.pem", "wb").write(pem(own) + private(own_key))


def new_nonce():
    nonce = secrets.token_urlsafe(16)
    with lock:
        nonces.add(nonce)
    return nonce


def shown(order):
    return {key: order[key] for key in order if key in (
        "status", "identifiers", "authorizations", "finalize", "certificate")}


def look_for(proof, account):
    """Fetches the proof, as section 8.3 says."""
    token, name = proof["challenges"][0]["token"], proof["identifier"]["value"]
    try:
        connection = http.client.HTTPConnection(GUEST, 80, timeout=20)
        connection.request("GET", "/.well-known/acme-challenge/" + token, headers={"Host": name})
        answer = connection.getresponse()
        expect(answer.status == 200, "a proof has the status %s" % answer.status)
        thumbprint = josepy.b64encode(accounts[account]["key"].thumbprint()).decode()
        found = answer.read().decode()
        expect(found == token + "." + thumbprint, "a proof is " + found)
        state = "valid"
    except Exception:
        wrong()
        state = "invalid"
    proof["status"] = proof["challenges"][0]["status"] = state
    for order in orders.values():
        if order["status"] == "pending" and all(
                proofs[url]["status"] == "valid" for url in order["authorizations"]):
            order["status"] = "ready"


def issue(order, request):
    request = x509.load_der_x509_csr(request)
    expect(request.is_signature_valid, "the signature of a request")
    key = request.public_key()
    expect(isinstance(key, ec.EllipticCurvePublicKey), "a key of P-256")
    expect(key.curve.name == "secp256r1", "a key of P-256")
    for account in accounts.values():
        expect(account["key"].key.public_numbers() != key.public_numbers(), "the account's key is another")
    for other in certificates.values():
        other = x509.load_pem_x509_certificate(other)
        expect(other.public_key().public_numbers() != key.public_numbers(), "each certificate has its key")
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = names.get_values_for_type(x509.DNSName)
    expect(sorted(names) == sorted(it["value"] for it in order["identifiers"]), "names %s" % names)
    more = [
        (x509.SubjectAlternativeName([x509.DNSName(it) for it in names]), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]
    time.sleep(1.5)
    validity = LONG if certificates else SHORT
    leaf = sign(x509.Name([]), key, named("middle"), middle_key, validity, more)
    url = BASE + "/certificate/%d" % len(certificates)
    certificates[url] = pem(leaf) + pem(middle)
    order["certificate"], order["status"] = url, "valid"


def wrong():
    with open("/srv/wrong", "a") as to:
        traceback.print_exc(file=to)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json", **fields):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        fields["Replay_Nonce"] = new_nonce()
        fields["Content_Type"] = kind
        fields["Content_Length"] = str(len(body))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.answer(200)

    def do_GET(self):
        directory = {
            "newNonce": BASE + "/new-nonce",
            "newAccount": BASE + "/new-account",
            "newOrder": BASE + "/new-order",
            "revokeCert": BASE + "/revoke",
            "keyChange": BASE + "/key-change",
            "meta": {"termsOfService": TERMS, "website": BASE},
        }
        self.answer(200, directory) if self.path == "/directory" else self.answer(404, {})

    def do_POST(self):
        try:
            self.asked()
        except Problem as problem:
            kind = "urn:ietf:params:acme:error:" + problem.args[0]
            body = {"type": kind, "detail": "for the test"}
            self.answer(400, body, "application/problem+json")
        except Exception:
            wrong()
            self.answer(500, {})

    def asked(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        expect(self.headers["Content-Type"] == "application/jose+json", "the type of a request")
        header = json.loads(decoded(body["protected"]))
        expect(header["alg"] == "ES256", "ES256")
        expect(header["url"] == BASE + self.path, "the URL that was signed")
        expect(("jwk" in header) != ("kid" in header), "either a key or an account")
        with lock:
            expect(header["nonce"] in nonces, "a nonce, once")
            nonces.remove(header["nonce"])
        if not refused:
            refused.append(header["nonce"])
            raise Problem("badNonce")
        account = header.get("kid")
        new = self.path == "/new-account"
        expect(new == (account is None), "who signs " + self.path)
        key = josepy.JWK.from_json(header["jwk"]) if new else accounts[account]["key"]
        expect(josepy.JWS.from_json(body).verify(key), "the signature of " + self.path)
        payload = decoded(body["payload"])
        payload = json.loads(payload) if payload else None
        if new:
            return self.new_account(key, payload)
        if self.path == "/new-order":
            return self.new_order(payload)
        kind, _, number = self.path[1:].partition("/")
        url = BASE + self.path
        if kind == "proof":
            expect(payload is None, "POST-as-GET")
            return self.answer(200, proofs[url], Retry_After="1")
        if kind == "challenge":
            expect(payload == {}, "a challenge is accepted by {}")
            proof = proofs[BASE + "/proof/" + number]
            proof["challenges"][0]["status"] = "processing"
            threading.Thread(target=look_for, args=(proof, account)).start()
            return self.answer(200, proof["challenges"][0])
        if kind == "order":
            expect(payload is None, "POST-as-GET")
            return self.answer(200, shown(orders[url]), Retry_After="1")
        if kind == "finalize":
            order = orders[BASE + "/order/" + number]
            expect(order["status"] == "ready", "an order that is ready")
            order["status"] = "processing"

            def run():
                try:
                    issue(order, decoded(payload["csr"]))
                except Exception:
                    wrong()
                    order["status"] = "invalid"

            threading.Thread(target=run).start()
            return self.answer(200, shown(order))
        expect(kind == "certificate" and payload is None, self.path)
        chain = certificates[url]
        self.answer(200, chain, "application/pem-certificate-chain")

    def new_account(self, key, payload):
        expect(payload["termsOfServiceAgreed"] is True, "consent")
        expect(payload["contact"] == ["mailto:admin@site.lab"], "a contact")
        for url, account in accounts.items():
            if account["key"] == key:
                return self.answer(200, {"status": "valid"}, Location=url)
        url = BASE + "/account/%d" % len(accounts)
        accounts[url] = {"key": key}
        self.answer(201, {"status": "valid"}, Location=url)

    def new_order(self, payload):
        number, urls = len(orders), []
        for identifier in payload["identifiers"]:
            expect(identifier["type"] == "dns", "a name")
            place = "/%d" % len(proofs)
            challenges = [
                {"type": "http-01", "url": BASE + "/challenge" + place,
                 "token": secrets.token_urlsafe(24), "status": "pending"},
                {"type": "dns-01", "url": BASE + "/other" + place,
                 "token": secrets.token_urlsafe(24), "status": "pending"},
            ]
            url = BASE + "/proof" + place
            proofs[url] = {"status": "pending", "identifier": identifier, "challenges": challenges}
            urls.append(url)
        url = BASE + "/order/%d" % number
        orders[url] = {
            "status": "pending",
            "identifiers": payload["identifiers"],
            "authorizations": urls,
            "finalize": BASE + "/finalize/%d" % number,
        }
        self.answer(201, shown(orders[url]), Location=url)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, address):
        # The handshake is made by the connection's thread, so that nobody waits for another.
        try:
            with context.wrap_socket(request, server_side=True) as stream:
                self.RequestHandlerClass(stream, address, self)
        except OSError:
            pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/own.pem")
server = Server(("10.0.0.1", 14000), Handler)
open("/srv/ready", "w").close()
sys.stdout.flush()
server.serve_forever()
