//! What is said of a disk that the domain has not.
//!
//! test: dom0 "truncate -s 1M /tmp/other-disk"
//! test: xl disk=["format=raw,vdev=xvdc,access=ro,target=/tmp/other-disk"]
//! test(missing): console-contains "error: there is no disk xvdb; this domain has xvdc: its configuration needs one with vdev=xvdb in disk=[...]"
//! test(missing): expect exit 2
//! test(help): args help
//! test(help): no-verdict
//! test(help): console-contains "  device block xvdb: a disk of the domain, as in disk=[\"FILE,raw,xvda,rw\"]\n"
//! test(help): not-in-check

#![no_std]
#![no_main]

use tests::Verdict;
use xenith::Block;

kernel::unikernel! {
    name: "no_disk",
    memory: 4 MiB,
    devices: { disk: Block("xvdb") },
    main: start,
}

async fn start(_: Block) -> Verdict {
    Verdict::Fail("there is a disk")
}
