//! The wiring of `pgx`.
//!
//! test: disk dom0=debian:postgresql-15,libllvm14-,postgresql-common-,postgresql-client-common-,ssl-cert-,locales-,dash,coreutils
//! test: dom0 postgres.sh
//! test(asks): args server=10.0.0.1 user=guest password="open sesame" database=postgres run="create table t (a int primary key, b text); insert into t select i, md5(i::text) from generate_series(1, 1000) i" run="select count(*), null, max(b) from t" run="do $$begin raise notice 'noted'; end$$" query="select a, b, $2::text from t where a = $1::int + 41" value=1 value="x'; drop table t --"
//! test(asks): console-contains "INSERT 0 1000\n1000||ffeabd223de0d4eacb9a3e6e53e5448d\nSELECT 1\n["
//! test(asks): console-contains "noted\nDO\n42|a1d0c6e83f027327d8461063f4ac58a6|x'; drop table t --\nSELECT 1\n"
//! test(asks): console-contains "NOTICE 00000: noted"
//! test(fails): args server=10.0.0.1 user=guest password="open sesame" database=postgres run="select 1; select * from nothing"
//! test(fails): console-contains "error: ERROR 42P01: relation \"nothing\" does not exist\n"
//! test(fails): expect exit 5
//! test(wrong): args server=10.0.0.1 user=guest password=guessed database=postgres run="select 1"
//! test(wrong): console-contains "error: FATAL 28P01: password authentication failed for user \"guest\"\n"
//! test(wrong): expect exit 4
//! test: timeout 240
//! test: not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;
use xenith::{Console, Ip};

xenith::unikernel! {
    /// Asks a PostgreSQL server, and prints the answers as psql -At does.
    /// Its exit status is 3 without a connection, 4 when the server does not let the user in, and 5
    /// when a question fails.
    name: "pgx",
    memory: 4 MiB,
    devices: { console: Console, ip: Ip("0") },
    args: pgx::Args {
        /// The server's name or address.
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
        /// How long an answer may take until it is printed, and how long connecting and leaving.
        patience: Duration = "30s",
    },
    main: pgx::start,
}
