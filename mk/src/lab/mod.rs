//! Real Xen and a real Linux dom0 inside QEMU.
