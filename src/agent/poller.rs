//! Where the heartbeat loop waits: for a datagram, for another thread, or for its own next deadline.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::links::Links;

/// The loop's waiting place. It belongs to the loop's thread; others hold a [`Waker`].
#[derive(Debug)]
pub struct Poller {
    woken: Arc<OwnedFd>,
}

/// Ends the loop's wait from any thread. Put what the loop shall find where it looks, then wake it.
#[derive(Clone, Debug)]
pub struct Waker {
    woken: Arc<OwnedFd>,
}

/// Why a wait ended; neither: the time is over, or a signal came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Readiness {
    /// At least one datagram (or an error) waits at a link.
    pub readable: bool,
    /// A waker was used, since the last wait that said so.
    pub woken: bool,
}

impl Poller {
    /// A place to wait.
    ///
    /// # Errors
    /// The process or the system has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { woken: Arc::new(woken) })
    }

    /// What another thread wakes this loop with.
    pub fn waker(&self) -> Waker {
        Waker { woken: Arc::clone(&self.woken) }
    }

    /// Waits for a datagram, a waker, or until `timeout` is over; `None` waits for as long as it takes. It
    /// can end early and for nothing, and the kernel does not count the time in which the machine sleeps:
    /// the caller reads the clock afterwards.
    ///
    /// # Errors
    /// The kernel is out of memory.
    pub fn wait(&self, links: &Links, timeout: Option<Duration>) -> io::Result<Readiness> {
        let mut fds: Vec<PollFd<'_>> = std::iter::once(self.woken.as_fd())
            .chain(links.fds())
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // A time too long for the kernel is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Readiness::default()),
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let woken = fds.first().is_some_and(ready);
        let readable = fds.iter().skip(1).any(ready);
        if woken {
            // Before the caller looks at what it was woken for: what comes later wakes it again.
            self.reset();
        }
        Ok(Readiness { readable, woken })
    }

    fn reset(&self) {
        // All wakes so far are one number of eight bytes; nothing to read means nothing to reset.
        let _count = rustix::io::read(&*self.woken, &mut [0; 8]);
    }
}

impl Waker {
    /// Ends the loop's present wait, or its next. Never blocks. Many wakes before the loop gets to run are one.
    pub fn wake(&self) {
        // It fails only when the counter is full, and then the loop is awake already.
        let _written = rustix::io::write(&*self.woken, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};

    use super::*;
    use crate::agent::clock;

    fn links() -> Links {
        Links::bind(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 0).unwrap()
    }

    #[test]
    fn waits_until_the_deadline() {
        let (poller, links) = (Poller::new().unwrap(), links());
        let start = clock::now();
        assert_eq!(poller.wait(&links, Some(Duration::from_millis(30))).unwrap(), Readiness::default());
        let waited = clock::now().since(start);
        assert!(waited >= Duration::from_millis(29), "{waited:?}");
        assert_eq!(poller.wait(&links, Some(Duration::ZERO)).unwrap(), Readiness::default());
    }

    #[test]
    fn waker_ends_a_wait_from_another_thread() {
        let (poller, links) = (Poller::new().unwrap(), links());
        let waker = poller.waker();
        let start = clock::now();
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            waker.clone().wake();
        });
        let woken = poller.wait(&links, Some(Duration::from_secs(20))).unwrap();
        assert_eq!(woken, Readiness { readable: false, woken: true });
        assert!(clock::now().since(start) < Duration::from_secs(10));
        other.join().unwrap();
    }

    #[test]
    fn wakes_before_a_wait_are_kept_and_are_one() {
        let (poller, links) = (Poller::new().unwrap(), links());
        (0..1000).for_each(|_| poller.waker().wake());
        assert!(poller.wait(&links, None).unwrap().woken);
        assert!(!poller.wait(&links, Some(Duration::ZERO)).unwrap().woken);
    }

    #[test]
    fn datagram_ends_a_wait() {
        let (poller, links) = (Poller::new().unwrap(), links());
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.send_to(b"x", links.addresses().next().unwrap()).unwrap();
        assert_eq!(poller.wait(&links, None).unwrap(), Readiness { readable: true, woken: false });
    }
}
