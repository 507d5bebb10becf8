//! Makes the calls about event channels (`public/event_channel.h`).

use super::{address, hypercall};
use crate::evtchn::PortNumber;
use crate::public::{
    EVTCHNOP_alloc_unbound, EVTCHNOP_bind_virq, EVTCHNOP_close, EVTCHNOP_send, EVTCHNOP_status,
    evtchn_alloc_unbound, evtchn_bind_virq, evtchn_close, evtchn_send, evtchn_status,
};
use crate::{DomId, Errno};
use xen_sys::{__HYPERVISOR_event_channel_op, EVTCHNSTAT_interdomain, evtchn_status__bindgen_ty_1};

/// Allocates an unbound port, which domain `remote` may bind to (`EVTCHNOP_alloc_unbound`).
///
/// # Errors
/// `ENOSPC` if the domain's limit of ports (`max_event_channels`) is reached.
pub fn event_channel_op_alloc_unbound(remote: DomId) -> Result<PortNumber, Errno> {
    let mut arg = evtchn_alloc_unbound { dom: DomId::SELF.0, remote_dom: remote.0, port: 0 };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_alloc_unbound),
            address(&mut arg),
            0,
            0,
        ])
    }?;
    Ok(PortNumber(arg.port))
}

/// Allocates a port and binds virtual interrupt `virq` of vCPU `vcpu` to it
/// (`EVTCHNOP_bind_virq`).
///
/// # Errors
/// `EEXIST` if it is bound already, `ENOSPC` if the domain's limit of ports
/// (`max_event_channels`) is reached.
pub fn event_channel_op_bind_virq(virq: u32, vcpu: u32) -> Result<PortNumber, Errno> {
    let mut arg = evtchn_bind_virq { virq, vcpu, port: 0 };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_bind_virq),
            address(&mut arg),
            0,
            0,
        ])
    }?;
    Ok(PortNumber(arg.port))
}

/// Notifies the remote end of `port`: makes its port pending (`EVTCHNOP_send`).
///
/// # Errors
/// `EINVAL` if the port is not open.
pub fn event_channel_op_send(port: PortNumber) -> Result<(), Errno> {
    let mut arg = evtchn_send { port: port.0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_send),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}

/// Returns whether `port` is bound to a port of another domain (`EVTCHNOP_status` is
/// `EVTCHNSTAT_interdomain`).
///
/// # Errors
/// `EINVAL` if there is no such port.
pub fn event_channel_op_status(port: PortNumber) -> Result<bool, Errno> {
    let mut arg = evtchn_status {
        dom: DomId::SELF.0,
        port: port.0,
        status: 0,
        vcpu: 0,
        u: evtchn_status__bindgen_ty_1 { pirq: 0 },
    };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_status),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(|_| arg.status == EVTCHNSTAT_interdomain)
}

/// Closes `port` (`EVTCHNOP_close`).
///
/// # Errors
/// `EINVAL` if the port is not open.
pub fn event_channel_op_close(port: PortNumber) -> Result<(), Errno> {
    let mut arg = evtchn_close { port: port.0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_close),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}
