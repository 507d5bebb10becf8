//! The wiring of `pgxs`.
//!
//! test: disk dom0=debian:postgresql-15,libllvm14-,postgresql-common-,postgresql-client-common-,ssl-cert-,locales-,dash,coreutils
//! test: dom0 postgres.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/pgxs-roots"]
//! test: timeout 240
//! test(asks): dom0 "/tmp/pgxs-start good on"
//! test(asks): args server=www.lab user=guest password="open sesame" database=postgres run="create temp table t (a int primary key, b text); insert into t select i, md5(i::text) from generate_series(1, 1000) i" run="select ssl, version, client_dn from pg_stat_ssl where pid = pg_backend_pid()" run="do $$begin raise notice 'noted'; end$$" query="select a, b, $2::text from t where a = $1::int + 41" value=1 value="x'; drop table t --"
//! test(asks): console-contains "INSERT 0 1000\nt|TLSv1.3|/CN=guest\nSELECT 1\n["
//! test(asks): console-contains "NOTICE 00000: noted\nDO\n42|a1d0c6e83f027327d8461063f4ac58a6|x'; drop table t --\nSELECT 1\n"
//! test(asks): console-contains "the login is bound to the server's certificate"
//! test(old): dom0 "/tmp/pgxs-start good on '' TLSv1.2"
//! test(old): args server=www.lab user=guest password="open sesame" database=postgres tls12=on run="select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
//! test(old): console-contains "t|TLSv1.2\n"
//! test(old): console-contains "the login is bound to the server's certificate"
//! test(mutual): dom0 "/tmp/pgxs-start good on clientcert=verify-full"
//! test(mutual): args server=www.lab user=guest password="open sesame" database=postgres run="select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()"
//! test(mutual): console-contains "t|/CN=guest\n"
//! test(wrong): dom0 "/tmp/pgxs-start good on"
//! test(wrong): args server=www.lab user=guest password=guessed database=postgres run="select 1"
//! test(wrong): console-contains "error: FATAL 28P01: password authentication failed for user \"guest\"\n"
//! test(name): dom0 "/tmp/pgxs-start good on"
//! test(name): args server=10.0.0.1 user=guest password="open sesame" database=postgres run="select 1"
//! test(name): console-contains "error: the certificate is not for 10.0.0.1, but for "
//! test(unknown): dom0 "/tmp/pgxs-start unknown on"
//! test(unknown): args server=www.lab user=guest password="open sesame" database=postgres run="select 1"
//! test(unknown): console-contains "error: the certificate is signed by nobody who is trusted here\n"
//! test(expired): dom0 "/tmp/pgxs-start expired on"
//! test(expired): args server=www.lab user=guest password="open sesame" database=postgres run="select 1"
//! test(expired): console-contains "error: the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this machine's clock says 2"
//! test(off): dom0 "/tmp/pgxs-start good off"
//! test(off): args server=www.lab user=guest password="open sesame" database=postgres run="select 1"
//! test(off): console-contains "error: the server does not speak TLS: set ssl = on there, as nothing is sent in clear\n"
//! test(wrong,name,unknown,expired,off): expect exit 4
//! test(old,mutual,wrong,name,unknown,expired,off): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;
use xenith::{Block, Console, Ip};

xenith::unikernel! {
    /// Asks a PostgreSQL server by TLS, and prints the answers as psql -At does. The disk holds the
    /// certificates that are trusted to vouch for servers, in PEM form, one after the other, such as
    /// Debian's /etc/ssl/certs/ca-certificates.crt, and behind them, if the server asks for one, a
    /// private key and this client's certificate.
    /// Its exit status is 3 without a connection, 4 when the server has no TLS, is not to be trusted
    /// or does not let the user in, and 5 when a question fails.
    name: "pgxs",
    memory: 8 MiB,
    stack: 256 KiB,
    devices: { console: Console, ip: Ip("0"), roots: Block("xvda") },
    args: pgxs::Args {
        /// The server's name or address, for which it has to have a certificate.
        server: &'static str,
        /// Its TCP port.
        port: u16 = 5432,
        /// Who logs in.
        user: &'static str,
        /// The database.
        database: &'static str,
        /// The password, for SCRAM-SHA-256. Whoever reads the configuration of the domain knows it.
        password: Option<&'static str>,
        /// One or several commands, in SQL; given several times, they are run one by one.
        run: Several,
        /// After them, one command with $1 and so on in it.
        query: Option<&'static str>,
        /// What stands for $1, then what stands for $2.
        value: Several,
        /// The most bytes of a row.
        limit: u32 = 1048576,
        /// How long an answer may take.
        patience: Duration = "30s",
        /// The SHA-256 of a certificate that is trusted whatever its names, dates and issuer, in
        /// hexadecimal; with one, nobody vouches for others.
        sha256: Several,
        /// Speak TLS 1.2 too, for old servers.
        tls12: bool = false,
    },
    main: pgxs::start,
}
