// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Boots of a fake QEMU: a shell script that writes to the same two channels.

use crate::arch::Arch;
use crate::class::Class;
use crate::class::Step;
use crate::files;
use crate::guest::accel::Accel;
use crate::guest::boot::{self, Boot, Ended, Factors, Limits};
use crate::guest::{accel, qemu};
use rstest::rstest;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("qemu");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn short() -> Limits {
    let ms = Duration::from_millis;
    Limits {
        first_byte: ms(300),
        silence: ms(600),
        between_events: ms(300),
        end: ms(300),
        total: ms(3000),
        factors: Factors { silence: 0, between_events: 0, end: 0, total: 0 },
    }
}

fn boot(text: &str, stop: bool) -> (Step<Boot>, tempfile::TempDir) {
    boot_within(short(), text, stop)
}

fn boot_within(limits: Limits, text: &str, stop: bool) -> (Step<Boot>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let qemu = script(folder.path(), text);
    let stop = AtomicBool::new(stop);
    (boot::run(&qemu, &[], folder.path(), limits, &stop, &mut |_| ()), folder)
}

#[test]
fn both_channels_arrive_whole_and_are_kept() {
    let text = "echo console; echo event >/dev/fd/0; echo words >&2; exit 3";
    let (boot, folder) = boot(text, false);
    let boot = boot.unwrap();
    assert_eq!(boot.console, b"console\n");
    assert_eq!(boot.events, b"event\n");
    assert_eq!(boot.words, "words\n");
    assert_eq!(boot.ended, Ended::Exited(3));
    assert!(boot.hello_after.is_some());
    assert_eq!(fs::read(folder.path().join("console.log")).unwrap(), b"console\n");
    assert_eq!(fs::read(folder.path().join("results.jsonl")).unwrap(), b"event\n");
}

#[rstest]
#[case::silent("sleep 9", "not a byte")]
#[case::no_hello("echo booting; sleep 9", "not a word for")]
#[case::stuck_in_a_test("echo x; echo '{}' >/dev/fd/0; sleep 9", "no event for")]
#[case::stuck_after_done("echo '{\"event\":\"done\"' >/dev/fd/0; sleep 9", "did not end")]
#[case::stuck_after_panic("echo 'Kernel panic - not syncing: x'; sleep 9", "did not end")]
#[case::talks_forever("while :; do echo '{}' >/dev/fd/0; sleep 0.05; done", "not done within")]
#[case::closes_and_stays("exec <&- >&- 2>&-; sleep 9", "did not end")]
fn a_hang_ends_at_its_limit(#[case] text: &str, #[case] limit: &str) {
    let boot = boot(text, false).0.unwrap();
    assert!(boot.took < Duration::from_secs(8), "{:?}", boot.took);
    match boot.ended {
        Ended::Limit(said) => assert!(said.contains(limit), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::in_a_test("sleep 0.2; echo '{}' >/dev/fd/0; sleep 1; echo '{}' >/dev/fd/0")]
#[case::while_booting("sleep 0.5; echo x; sleep 2; echo '{}' >/dev/fd/0")]
#[case::at_the_end("sleep 0.2; echo '{\"event\":\"done\"' >/dev/fd/0; sleep 0.6")]
fn limits_follow_the_time_that_the_boot_takes(#[case] text: &str) {
    let first_byte = Duration::from_secs(5);
    let factors = Limits::of(Accel::Tcg).factors;
    let boot = boot_within(Limits { first_byte, factors, ..short() }, text, false).0;
    assert_eq!(boot.unwrap().ended, Ended::Exited(0));
}

#[test]
fn kvm_that_stays_stopped_is_left_at_once() {
    let text = "echo 'KVM internal error. Suberror: 1' >&2; sleep 9";
    let boot = boot(text, false).0.unwrap();
    assert_eq!(boot.ended, Ended::Kvm("KVM internal error. Suberror: 1".into()));
}

#[test]
fn a_killed_qemu_is_told_from_one_that_ended() {
    assert_eq!(boot("kill -9 $$", false).0.unwrap().ended, Ended::Killed(9));
}

#[test]
fn stop_interrupts() {
    assert_eq!(boot("sleep 9", true).0.unwrap_err().class, Class::Interrupted);
}

#[rstest]
#[case::new_enough("echo 'QEMU emulator version 7.2.22 (Debian 1:7.2)'", Ok("7.2.22"))]
#[case::two_numbers("echo 'QEMU emulator version 10.1'", Ok("10.1"))]
#[case::too_old("echo 'QEMU emulator version 4.2.1'", Err("too old"))]
#[case::no_version("echo hello", Err("says nothing"))]
#[case::fails("exit 1", Err("says nothing"))]
fn qemu_is_asked_its_version(#[case] text: &str, #[case] wanted: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let name = script(folder.path(), text);
    // Twice: the second answer comes from memory.
    for _ in 0..2 {
        match (qemu::find(&name.to_string_lossy(), Arch::X86_64, folder.path()), wanted) {
            (Ok(qemu), Ok(version)) => assert_eq!(qemu.version, version),
            (Err(refusal), Err(why)) => {
                assert_eq!(refusal.class, Class::Qemu);
                assert!(refusal.line.contains(why), "{refusal}");
            }
            (Ok(qemu), _) => panic!("{}", qemu.version),
            (Err(refusal), _) => panic!("{refusal}"),
        }
    }
}

#[test]
fn no_qemu_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = qemu::find("no-such-qemu", Arch::X86_64, folder.path()).err().unwrap();
    assert_eq!(refusal.class, Class::Qemu);
    assert!(refusal.line.contains("install"));
}

#[test]
fn kvm_is_chosen_by_the_device_and_by_memory() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = folder.path().join("vmlinux");
    let device = folder.path().join("kvm-device");
    fs::write(&kernel, "kernel").unwrap();
    let memory = || accel::Memory::open(folder.path(), "7.2", &kernel);
    let why = || accel::choose(&device, memory).unwrap().0.why;
    assert_eq!(why(), format!("TCG: no {}", device.display()));
    fs::write(&device, "").unwrap();
    assert_eq!(why(), "KVM");
    memory().unwrap().failed("/dev/kvm opens, but QEMU said: x").unwrap();
    assert_eq!(why(), "TCG: /dev/kvm opens, but QEMU said: x (remembered)");
    // Another kernel is another question.
    files::write(&kernel, b"another").unwrap();
    assert_eq!(why(), "KVM");
}
