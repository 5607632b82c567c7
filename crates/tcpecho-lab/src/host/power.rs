//! The power supply of hosts, to end experiments that other threads are playing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustix::io::Errno;
use tcpecho_lab_os::host_init::HostInit;
use tcpecho_os::failed::Failed;

use crate::states::States;

/// Ends all hosts that it supplies, from any thread; copies are the same power supply.
#[derive(Clone, Default)]
pub struct Power(Arc<Supply>);

#[derive(Default)]
struct Supply {
    /// Locked for reading while a host is being made, so that a cut finds it.
    is_cut: RwLock<bool>,
    hosts: Mutex<Vec<Supplied>>,
}

/// What must end with a host.
#[derive(Clone)]
pub(crate) struct Supplied {
    pub(crate) init: Arc<HostInit>,
    pub(crate) states: Arc<States>,
}

impl Power {
    /// Ends all hosts for good: when this returns, all their processes are gone and no socket keeps
    /// their networks alive. No host can be switched on again. Their timelines record the exits of
    /// programs unless they are frozen first ([`crate::Timeline::freeze`]).
    pub fn cut(&self) {
        *self.0.is_cut.write().unwrap_or_else(PoisonError::into_inner) = true;
        for Supplied { init, states } in std::mem::take(&mut *self.hosts()) {
            init.kill();
            states.destroy_all();
        }
    }

    /// Supplies the host that `make` makes.
    ///
    /// # Errors
    /// `EHOSTDOWN` if the power is cut, and those of `make`.
    pub(crate) fn supply<T>(
        &self,
        make: impl FnOnce() -> Result<(Supplied, T), Failed>,
    ) -> Result<(Supplied, T), Failed> {
        let is_cut = self.0.is_cut.read().unwrap_or_else(PoisonError::into_inner);
        if *is_cut {
            return Err(Failed { operation: "switch on a host".into(), errno: Errno::HOSTDOWN });
        }
        let (supplied, made) = make()?;
        self.hosts().push(supplied.clone());
        Ok((supplied, made))
    }

    /// Removes a host that is switched off.
    pub(crate) fn forget(&self, states: &Arc<States>) {
        self.hosts().retain(|supplied| !Arc::ptr_eq(&supplied.states, states));
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, Vec<Supplied>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Power").field("hosts", &self.hosts().len()).finish_non_exhaustive()
    }
}
