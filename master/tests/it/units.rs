//! The files of `etc/`, as an administrator finds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Server;

fn repository() -> PathBuf {
    let master = Path::new(env!("CARGO_MANIFEST_DIR"));
    master.parent().expect("a workspace").to_owned()
}

fn command_of(unit: &Path) -> Vec<String> {
    let text = fs::read_to_string(unit).expect("a unit");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words = line.expect("a command").split(' ');
    words.map(str::to_owned).collect()
}

#[test]
fn the_shipped_unit_starts_where_nothing_was_prepared() {
    assert!(!Path::new("/etc/oxicorn.env").exists(), "this machine was");
    let command = command_of(&repository().join("etc/oxicorn.service"));
    let arguments: Vec<&str> = command[1..]
        .iter()
        .map(|word| match word.as_str() {
            "127.0.0.1:5002" => "127.0.0.1:0",
            word => word,
        })
        .collect();
    let server = Server::new("unit").no_bind().no_app().args(&arguments);
    let server = server.start_with_unknown_workers();
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn make_install_follows_its_variables_and_systemd_understands_the_units() {
    let root = tempfile::TempDir::with_prefix("oxicorn-install-").expect("a directory");
    let prefix = root.path().join("opt");
    let run = |root: &Path| {
        let outcome = Command::new("make")
            .current_dir(repository())
            .env_remove("MAKEFLAGS")
            .args(["install", "CARGO=true"])
            .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_oxicorn")))
            .arg(format!("PREFIX={}/opt", root.display()))
            .arg(format!("SYSCONFDIR={}/etc", root.display()))
            .output()
            .expect("make");
        assert!(outcome.status.success(), "{outcome:?}");
    };
    run(root.path());
    let settings = root.path().join("etc/oxicorn.env");
    assert!(settings.is_file());
    fs::write(&settings, "WORKERS=1\n").expect("written");
    run(root.path());
    let kept = fs::read_to_string(&settings).expect("it is there");
    assert_eq!(kept, "WORKERS=1\n", "what was written there stays");
    let unit = prefix.join("lib/systemd/system/oxicorn.service");
    let command = command_of(&unit);
    assert_eq!(Path::new(&command[0]), prefix.join("bin/oxicorn"));
    assert!(
        command.contains(&format!("--env-file=-{}", settings.display())),
        "{command:?}"
    );
    // In the other unit, the administrator has to set the path.
    let text = fs::read_to_string(repository().join("etc/oxicorn-wsgi.service")).expect("a unit");
    let binary = prefix.join("bin/oxicorn").display().to_string();
    let second = root.path().join("oxicorn-wsgi.service");
    fs::write(&second, text.replace("/srv/app/venv/bin/oxicorn", &binary)).expect("written");
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    for unit in [unit, second] {
        let mut verify = Command::new("systemd-analyze");
        let outcome = verify.args(["verify", "--man=no"]).arg(&unit).output();
        let outcome = outcome.expect("it runs");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        // systemd before 253 keeps `Type=notify`, as the unit says.
        let is_old = |line: &str| line.ends_with("ignoring: notify-reload");
        let ours = said
            .lines()
            .filter(|line| line.contains("oxicorn") && !is_old(line));
        assert_eq!(ours.count(), 0, "{said}");
    }
}
