// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! KVM that works, is absent, is forbidden, or fails at one moment or another. Each of these ends
//! in a pass, says which accelerator ran, and why. Where KVM is needed, a fake QEMU plays it.

use crate::fake::{Fake, written};
use crate::lab::{Lab, tell};
use crate::row::{Qemu, ROW, Row, once};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// A device that opens, on a QEMU of its own.
const OPENS: Row = Row { env: &[("KVM", "{lab}/kvm")], ..ROW };

const DIED: &str = "KVM internal error. Suberror: 1\n";

pub const ROWS: &[Row] = &[
    Row {
        name: "accelerators::absent",
        about: "there is no /dev/kvm",
        env: &[("KVM", "/no/such/kvm")],
        accelerator: "TCG: no /no/such/kvm",
        ..ROW
    },
    Row {
        name: "accelerators::off",
        about: "KVM is not wanted",
        env: &[("KVM", "off")],
        accelerator: "TCG: as asked",
        ..ROW
    },
    Row {
        name: "accelerators::forbidden",
        about: "/dev/kvm may not be opened",
        env: &[("KVM", "{lab}/forbidden")],
        by: forbidden,
        accelerator: "TCG: no permission on ",
        ..ROW
    },
    Row {
        name: "accelerators::no_device",
        about: "/dev/kvm is there, and opening it fails otherwise",
        env: &[("KVM", "{lab}")],
        accelerator: "does not open: ",
        ..ROW
    },
    Row {
        name: "accelerators::works",
        about: "KVM works",
        qemu: Qemu::Edited(|args| without_kvm(args)),
        accelerator: "KVM",
        ..OPENS
    },
    Row {
        name: "accelerators::refused",
        about: "QEMU says that it can't use KVM, and exits",
        qemu: Qemu::Fake(|fake| {
            kvm_or_true(fake);
            eprintln!("qemu-system-x86_64: failed to initialize kvm: Permission denied");
            1
        }),
        accelerator: "TCG: /dev/kvm opens, but QEMU said: failed to initialize kvm: Permission denied",
        ..OPENS
    },
    Row {
        name: "accelerators::dies_and_stays",
        about: "KVM gives up a few instructions into the kernel, and QEMU stays, stopped",
        qemu: Qemu::Fake(|fake| {
            kvm_or_true(fake);
            eprint!("{DIED}");
            fake.stay()
        }),
        accelerator: "TCG: /dev/kvm opens, but QEMU said: KVM internal error. Suberror: 1",
        ..OPENS
    },
    Row {
        name: "accelerators::dies_in_a_test",
        about: "KVM gives up when tests have already passed, and QEMU stays, stopped",
        qemu: Qemu::Fake(|fake| {
            kvm_or_true(fake);
            let events = written(&fake.recorded());
            fake.replay(&events[..events.len() / 2]);
            eprint!("{DIED}");
            fake.stay()
        }),
        class: "qemu",
        cause: "KVM failed (KVM internal error. Suberror: 1)",
        accelerator: "KVM",
        ..OPENS
    },
    Row {
        name: "accelerators::mute",
        about: "under KVM not a byte comes",
        qemu: Qemu::Fake(|fake| {
            kvm_or_true(fake);
            fake.stay()
        }),
        accelerator: "TCG: /dev/kvm opens, but not a byte from the guest in ",
        ..OPENS
    },
    Row {
        name: "accelerators::remembered",
        about: "KVM that failed for this kernel is not tried again",
        qemu: Qemu::Fake(|fake| {
            kvm_or_true(fake);
            eprint!("{DIED}");
            fake.stay()
        }),
        by: |lab, row| once(lab, &Row { accelerator: "", ..*row }).and_then(|_| once(lab, row)),
        accelerator: "KVM internal error. Suberror: 1 (remembered)",
        ..OPENS
    },
];

/// Root opens what nobody may, unless it gives up the capability for that.
fn forbidden(lab: &Lab, row: &Row) -> Result<String, String> {
    let device = lab.path.join("forbidden");
    tell(&device, fs::write(&device, ""))?;
    tell(&device, fs::set_permissions(&device, Permissions::from_mode(0o000)))?;
    let mut command = lab.command(row)?;
    if File::open(&device).is_ok() {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", "-dac_override,-dac_read_search", "--"]);
        without.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        without.current_dir(lab.farm());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => without.env(name, value),
                None => without.env_remove(name),
            };
        }
        command = without;
    }
    lab.run(&mut command, row)?.must_be(lab, row)
}

/// Asked for KVM, comes back; asked for TCG, is the true one from then on.
fn kvm_or_true(fake: &Fake) {
    if fake.value("-accel") != "kvm" {
        std::process::exit(fake.become_true().into());
    }
}

/// What runs is TCG, and the runner can't know.
fn without_kvm(args: &mut [String]) {
    args.iter_mut().filter(|arg| *arg == "kvm").for_each(|arg| *arg = "tcg".into());
}
