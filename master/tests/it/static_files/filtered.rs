//! A seccomp filter that does not know openat2(2), as older container runtimes have: the worker goes the way itself.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::{LARGE, pattern, site, write};

/// Runs its arguments under a filter that answers openat2(2) with `errno`.
const FILTER: &str = r#"
import ctypes, os, struct, sys
errno, *command = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
# Classic BPF (seccomp(2)): load the number of the call; 437 is openat2 on every architecture.
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x50000 | int(errno)), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("HBBI", *step) for step in steps)
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(command[0], command)
"#;

#[test]
fn files_are_served_without_openat2() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let builder = site("static, filtered");
        let files = builder.dir().join("files");
        write(&files, "sub/b.txt", b"b");
        for (name, target) in [
            ("inside", "sub/b.txt"),
            ("sub/up", "../small.txt"),
            ("passwd", "/etc/passwd"),
            ("up", ".."),
            ("loop", "loop"),
        ] {
            symlink(target, files.join(name)).expect("a link");
        }
        let filter = builder.dir().join("filter.py");
        std::fs::File::create(&filter)
            .and_then(|mut file| file.write_all(FILTER.as_bytes()))
            .expect("a program");
        let filter = filter.display().to_string();
        let server = builder
            .under(&["python3", &filter, &errno.to_string()])
            .start();
        assert_eq!(server.get("/static/small.txt").text(), "small\n");
        assert!(server.get("/static/large.bin").body == pattern(LARGE));
        assert_eq!(server.get("/static/inside").text(), "b");
        assert_eq!(server.get("/static/sub/up").text(), "small\n");
        assert_eq!(server.get("/static/dir/").text(), "<p>index\n");
        for name in [
            "passwd",
            "up/outside.txt",
            "up",
            "loop",
            "none",
            ".env",
            "small.txt/",
        ] {
            assert_eq!(server.get(&format!("/static/{name}")).status, 404, "{name}");
        }
    }
}
