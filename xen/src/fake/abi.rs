//! Hypercalls by number, and the structures that they take.

// The ABI's names are kept as they are.
#![allow(non_upper_case_globals)]

use super::vcpu::Vcpu;
use super::{EINVAL, ENOSYS, EPERM, State, suspend, with};
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::public::callback::{CALLBACKOP_REGISTER, CALLBACKTYPE_EVENT, CallbackRegister};
use crate::public::grant_table::{
    CopyBytes, GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF, GNTST_BAD_COPY_ARG, GNTST_OKAY,
    GNTTABOP_COPY, GNTTABOP_QUERY_SIZE, GNTTABOP_SETUP_TABLE, Place, QuerySize, SetupTable,
};
use crate::public::vcpu::{
    VCPUOP_GET_RUNSTATE_INFO, VCPUOP_SET_SINGLESHOT_TIMER, VCPUOP_STOP_PERIODIC_TIMER,
    VcpuRunstateInfo, VcpuSetSingleshotTimer,
};
use crate::public::{
    EVTCHNOP_alloc_unbound, EVTCHNOP_bind_virq, EVTCHNOP_close, EVTCHNOP_send, EVTCHNOP_status,
    SCHEDOP_poll, SCHEDOP_shutdown, SCHEDOP_yield, SHUTDOWN_suspend, VIRQ_TIMER,
    evtchn_alloc_unbound, evtchn_bind_virq, evtchn_close, evtchn_send, evtchn_status, sched_poll,
    sched_shutdown,
};
use xen_sys::{
    __HYPERVISOR_callback_op, __HYPERVISOR_console_io, __HYPERVISOR_event_channel_op,
    __HYPERVISOR_grant_table_op, __HYPERVISOR_sched_op, __HYPERVISOR_vcpu_op,
};

/// Carries out hypercall `nr`.
///
/// # Safety
/// Pointers in `args` are what that hypercall takes.
pub(crate) unsafe fn hypercall(nr: u32, args: [u64; 4]) -> i64 {
    let [op, arg, count, _] = args;
    match nr {
        __HYPERVISOR_event_channel_op => {
            // SAFETY: passed on.
            with(|state| unsafe { event_channel_op(state, op as u32, arg) })
        }
        __HYPERVISOR_grant_table_op if count == 1 => {
            // SAFETY: passed on.
            with(|state| unsafe { grant_table_op(state, op as u32, arg) })
        }
        // Looks, and finds something or is late: both are an end of the wait.
        __HYPERVISOR_sched_op if op as u32 == SCHEDOP_poll => {
            // SAFETY: SCHEDOP_poll takes a sched_poll.
            let poll = unsafe { *(arg as *const sched_poll) };
            // SAFETY: it points to as many ports.
            let ports = unsafe { std::slice::from_raw_parts(poll.ports, poll.nr_ports as usize) };
            // Xen takes it for signed, and one that has passed ends the wait.
            assert!(poll.timeout.cast_signed() >= 0, "a deadline in the past");
            with(|state| state.host.vcpu.polled = ports.iter().copied().map(PortNumber).collect());
            0
        }
        __HYPERVISOR_sched_op if op as u32 == SCHEDOP_yield => 0,
        __HYPERVISOR_vcpu_op => {
            // SAFETY: passed on.
            with(|state| unsafe { vcpu_op(&mut state.host.vcpu, op as u32, count) })
        }
        __HYPERVISOR_callback_op if op as u32 == CALLBACKOP_REGISTER => {
            // SAFETY: CALLBACKOP_register takes a callback_register.
            let register = unsafe { *(arg as *const CallbackRegister) };
            if register.kind == CALLBACKTYPE_EVENT {
                with(|state| state.host.vcpu.entry = Some(register.address));
            }
            0
        }
        __HYPERVISOR_sched_op if op as u32 == SCHEDOP_shutdown => {
            // SAFETY: SCHEDOP_shutdown takes a sched_shutdown.
            let shutdown = unsafe { *(arg as *const sched_shutdown) };
            if shutdown.reason == SHUTDOWN_suspend {
                return with(suspend::shut_down);
            }
            panic!("the domain shut down, reason {}", shutdown.reason);
        }
        __HYPERVISOR_console_io => with(|state| match &mut state.console {
            Some(console) => {
                // SAFETY: CONSOLEIO_write takes a length and a pointer to as many bytes.
                let text = unsafe { std::slice::from_raw_parts(count as *const u8, arg as usize) };
                console.extend_from_slice(text);
                0
            }
            None => EPERM,
        }),
        _ => ENOSYS,
    }
}

/// # Safety
/// `arg` points to the structure that `op` takes.
unsafe fn vcpu_op(vcpu: &mut Vcpu, op: u32, arg: u64) -> i64 {
    match op {
        VCPUOP_GET_RUNSTATE_INFO => {
            // SAFETY: VCPUOP_get_runstate_info takes a vcpu_runstate_info.
            unsafe { *(arg as *mut VcpuRunstateInfo) = vcpu.runstate() };
        }
        VCPUOP_STOP_PERIODIC_TIMER => vcpu.periodic = false,
        VCPUOP_SET_SINGLESHOT_TIMER => {
            // SAFETY: VCPUOP_set_singleshot_timer takes a vcpu_set_singleshot_timer.
            let set = unsafe { *(arg as *const VcpuSetSingleshotTimer) };
            vcpu.timer = Some(set.timeout_abs_ns);
        }
        _ => return ENOSYS,
    }
    0
}

/// # Safety
/// `arg` points to the structure that `op` takes.
unsafe fn event_channel_op(state: &mut State, op: u32, arg: u64) -> i64 {
    let events = &mut state.host.events;
    match op {
        EVTCHNOP_send => {
            // SAFETY: EVTCHNOP_send takes an evtchn_send.
            let send = unsafe { *(arg as *const evtchn_send) };
            events.send(PortNumber(send.port))
        }
        EVTCHNOP_close => {
            // SAFETY: EVTCHNOP_close takes an evtchn_close.
            let close = unsafe { *(arg as *const evtchn_close) };
            events.close(PortNumber(close.port))
        }
        EVTCHNOP_alloc_unbound => {
            // SAFETY: EVTCHNOP_alloc_unbound takes an evtchn_alloc_unbound.
            let alloc = unsafe { &mut *(arg as *mut evtchn_alloc_unbound) };
            match events.alloc_unbound(DomId(alloc.dom), DomId(alloc.remote_dom)) {
                Ok(port) => {
                    alloc.port = port.0;
                    0
                }
                Err(error) => error,
            }
        }
        EVTCHNOP_bind_virq => {
            // SAFETY: EVTCHNOP_bind_virq takes an evtchn_bind_virq.
            let bind = unsafe { &mut *(arg as *mut evtchn_bind_virq) };
            match events.bind_timer() {
                _ if bind.virq != VIRQ_TIMER || bind.vcpu != 0 => EINVAL,
                Ok(port) => {
                    bind.port = port.0;
                    0
                }
                Err(error) => error,
            }
        }
        EVTCHNOP_status => {
            // SAFETY: EVTCHNOP_status takes an evtchn_status.
            let status = unsafe { &mut *(arg as *mut evtchn_status) };
            let (now, remote) = events.status(PortNumber(status.port));
            status.status = now;
            status.u.unbound.dom = remote.0;
            0
        }
        _ => ENOSYS,
    }
}

/// # Safety
/// `arg` points to one structure that `op` takes.
unsafe fn grant_table_op(state: &mut State, op: u32, arg: u64) -> i64 {
    let host = &mut state.host;
    host.grants.check();
    match op {
        GNTTABOP_QUERY_SIZE => {
            // SAFETY: GNTTABOP_query_size takes a gnttab_query_size.
            let query = unsafe { &mut *(arg as *mut QuerySize) };
            match host.grants.query_size(DomId(query.dom)) {
                Ok((now, most)) => {
                    (query.nr_frames, query.max_nr_frames) = (now, most);
                    query.status = GNTST_OKAY;
                }
                Err(status) => query.status = status,
            }
            0
        }
        GNTTABOP_SETUP_TABLE => {
            // SAFETY: GNTTABOP_setup_table takes a gnttab_setup_table.
            let setup = unsafe { &mut *(arg as *mut SetupTable) };
            let count = setup.nr_frames as usize;
            let (status, list) = host.grants.setup_table(DomId(setup.dom), count, &mut host.frames);
            for (i, mfn) in list.into_iter().enumerate() {
                // SAFETY: the list has `nr_frames` entries.
                let entry = unsafe { setup.frame_list.add(i) };
                // SAFETY: as above.
                unsafe { entry.write(mfn) };
            }
            setup.status = status;
            0
        }
        GNTTABOP_COPY => {
            // SAFETY: GNTTABOP_copy takes a gnttab_copy.
            let copy = unsafe { &mut *(arg as *mut CopyBytes) };
            let whole = copy.source.offset == 0 && copy.dest.offset == 0;
            let length = usize::from(copy.len);
            let own = |place: &Place| {
                host.frames.page(place.page).filter(|_| place.domid == DomId::SELF.0)
            };
            copy.status = match (copy.flags, own(&copy.source), own(&copy.dest)) {
                (GNTCOPY_SOURCE_GREF, _, Some(page)) if whole => {
                    host.grants.copy_shown(&copy.source, length, &page)
                }
                (GNTCOPY_DEST_GREF, Some(page), _) if whole => {
                    host.grants.copy_to_shown(&page, &copy.dest, length)
                }
                _ => GNTST_BAD_COPY_ARG,
            };
            0
        }
        _ => ENOSYS,
    }
}
