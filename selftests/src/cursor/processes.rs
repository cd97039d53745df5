// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The receivers: forked children, each with a socket to the sender.

use crate::sys;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A child at work.
pub struct Child {
    pid: Pid,
    /// What it has to complain of; ends with it.
    words: File,
}

/// No process waits longer than this for another one, whoever runs them. (In the suite the limit of
/// a test ends them all sooner.)
const LONGEST: Duration = Duration::from_secs(60);

/// Forks this many receivers, of which each runs `work` with its number and its socket. Gives the
/// sockets' other ends. They have to be forked before the region is made, or they would inherit its
/// descriptor and the writable mapping.
pub fn receivers(
    count: usize,
    work: impl Fn(usize, UnixStream) -> Result<(), String>,
) -> (Vec<Child>, Vec<UnixStream>) {
    let (mut children, mut ends) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (here, there) = pair();
        ends.push(here);
        children.push(child(|| {
            // Also those of the receivers before: the end of the sender is seen only when nobody
            // else holds its end of the socket.
            ends.clear();
            work(number, there)
        }));
    }
    (children, ends)
}

/// Forks and runs `work`. What it owns is closed here.
pub fn child(work: impl FnOnce() -> Result<(), String>) -> Child {
    let (reader, writer) = nix::unistd::pipe().expect("pipe");
    let pid = sys::fork(move || {
        sys::die_with_parent();
        match work() {
            Ok(()) => 0,
            Err(why) => {
                File::from(writer).write_all(why.as_bytes()).expect("the parent reads");
                1
            }
        }
    });
    Child { pid: pid.expect("fork"), words: File::from(reader) }
}

/// A connected pair of sockets.
pub fn pair() -> (UnixStream, UnixStream) {
    let (here, there) = UnixStream::pair().expect("socketpair");
    for end in [&here, &there] {
        end.set_read_timeout(Some(LONGEST)).expect("SO_RCVTIMEO");
        end.set_write_timeout(Some(LONGEST)).expect("SO_SNDTIMEO");
    }
    (here, there)
}

impl Child {
    /// Waits until it has ended. Errors: what it complained of.
    pub fn wait(mut self) -> Result<WaitStatus, String> {
        let mut words = String::new();
        self.words.read_to_string(&mut words).expect("a pipe");
        let status = waitpid(self.pid, None).expect("waitpid");
        // A panic is the suite's own fault, here as there.
        assert!(!matches!(status, WaitStatus::Exited(_, 101)), "a child panicked");
        if words.is_empty() { Ok(status) } else { Err(words) }
    }

    /// Waits until it has ended as it should.
    pub fn succeeds(self) -> Result<(), String> {
        match self.wait()? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => Err(format!("a child ended by {other:?}")),
        }
    }

    /// Waits until it has died by SIGKILL.
    pub fn is_killed(self) -> Result<(), String> {
        match self.wait()? {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(()),
            other => Err(format!("a child that should be killed ended by {other:?}")),
        }
    }
}

/// Waits for all of them. Errors: what they complained of, once each; where one fails, others may see
/// no more than that the sender is gone.
pub fn all_succeed(children: Vec<Child>) -> Result<(), String> {
    let failed: BTreeSet<_> = children.into_iter().filter_map(|it| it.succeeds().err()).collect();
    if failed.is_empty() { Ok(()) } else { Err(Vec::from_iter(failed).join("; ")) }
}
