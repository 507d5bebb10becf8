//! The stack's part in an [update](kernel::update): its connections go on in the next image.

use super::drive::Stack;
use super::engine::VERSION;
use super::late::frames;
use super::shared::Shared;
use super::{Error, Settings};
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use devices::net::Net;
use kernel::task::spawn;
use kernel::update::{self, Part, Phase};

impl<N: Net + 'static> Stack<N> {
    /// Starts a stack that goes on with what the stack of a former image had, if there is one, and
    /// whose connections the next image goes on with. It says nothing before it has taken over.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`Error::Down`] if there is a former image that goes on.
    pub(super) async fn inherit(net: N, settings: Settings) -> Result<Self, Error> {
        let name = String::from(net.name());
        let refused = |error| {
            log::error!("{name}: {error}");
            Error::Down
        };
        let inherited = update::section(&name, VERSION).await.map_err(refused)?;
        let stack = Self::start(net, settings)?;
        // No task runs before the next wait, and nothing is sent before this image serves: also by
        // an interface that the former one did not have.
        stack.shared.frozen.set(true);
        if let Some(bytes) = inherited
            && stack.shared.engine().restore(&bytes).is_none()
        {
            return Err(refused(update::Error::Refused("the network's part makes no sense")));
        }
        update::take().await.map_err(refused)?;
        stack.shared.thaw();
        let (shared, net) = (Rc::downgrade(&stack.shared), Rc::clone(&stack.net));
        spawn(async move {
            while let Some(frames) = update::late(&name).await {
                let Some(shared) = shared.upgrade() else { return };
                shared.late.replace(frames);
                shared.engine().protocols.kick();
            }
            follow(&shared, &*net, &name).await;
        })
        .detach();
        stack.configured().await?;
        Ok(stack)
    }
}

/// Takes part in updates for as long as there is the stack.
async fn follow<N: Net>(shared: &Weak<Shared>, net: &N, name: &str) {
    let mut part = Part::filling();
    loop {
        let phase = part.next().await;
        let Some(shared) = shared.upgrade() else { return };
        match phase {
            Phase::Save => {
                shared.frozen.set(true);
                let room = part.room().await;
                let saved = shared.engine().save(room);
                match saved {
                    Some(bytes) => part.done(Some((name, VERSION, bytes))),
                    None => part.failed(),
                }
            }
            Phase::Late => part.done(Some((name, VERSION, frames(net)))),
            Phase::Resume => {
                shared.engine().resume();
                shared.thaw();
                part.done(None);
            }
            _ => part.done(None),
        }
    }
}
