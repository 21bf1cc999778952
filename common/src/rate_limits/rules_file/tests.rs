use super::*;

fn parse(text: &str) -> Result<RulesFile, String> {
    RulesFile::parse(text, Path::new("limits.conf")).map_err(|wrong| wrong.to_string())
}

fn rule(line: &str) -> RateLimitRule {
    parse(line).expect(line).rules.remove(0)
}

#[test]
fn a_rule_has_a_name_a_rate_and_options() {
    let plain = rule("api 10/s");
    assert_eq!(
        (plain.amount, plain.burst, plain.window_seconds()),
        (10, 10, 1)
    );
    assert_eq!(plain.interval(), Duration::from_millis(100));
    assert_eq!(
        (plain.by, plain.shown),
        (LimitKey::Client, ShownFields::Always)
    );
    let whole = rule(
        "k-1_x\t5/10m burst=7 by=header:X-Api-Key path=/API/,/b method=POST,PUT fields=refused keys=100 # x",
    );
    assert_eq!(
        (whole.amount, whole.period, whole.burst),
        (5, Duration::from_secs(600), 7)
    );
    assert_eq!(whole.by, LimitKey::Header("X-Api-Key".to_owned()));
    assert_eq!(
        (whole.paths, whole.methods),
        (
            vec!["/api".to_owned(), "/b".to_owned()],
            vec!["POST".to_owned(), "PUT".to_owned()]
        )
    );
    assert_eq!((whole.shown, whole.keys), (ShownFields::Refused, 100));
    assert_eq!(rule("all 30000/s by=server").shown, ShownFields::Refused);
    assert_eq!(rule("a 3/s").interval(), Duration::from_nanos(333_333_334));
    assert_eq!(rule("a 1/d").window_seconds(), 86_400);
    assert_eq!(rule("a 1/s path=/").paths, [""]);
}

#[test]
fn comments_and_allowed_clients_are_read() {
    let read = parse("# all\n\nallow 10.0.0.0/8 ::1 # us\na 1/s path=/x#y\nallow 192.0.2.1\n")
        .expect("valid");
    assert_eq!(read.rules.len(), 1);
    assert_eq!(read.rules[0].paths, ["/x#y"]);
    for address in ["10.1.2.3", "::1", "192.0.2.1", "::ffff:10.0.0.1"] {
        assert!(
            read.allowed.contains(address.parse().expect(address)),
            "{address}"
        );
    }
    assert!(
        !read
            .allowed
            .contains("11.0.0.1".parse().expect("an address"))
    );
}

#[test]
fn each_wrong_line_is_named_with_what_to_write() {
    for (line, reason) in [
        ("api", "NAME RATE/PERIOD"),
        ("10/s", "NAME RATE/PERIOD"),
        ("a/b 10/s", "letters, digits"),
        ("api 10", "REQUESTS/PERIOD"),
        ("api 0/s", "REQUESTS/PERIOD"),
        ("api +1/s", "REQUESTS/PERIOD"),
        ("api 10/w", "REQUESTS/PERIOD"),
        ("api 10/0s", "REQUESTS/PERIOD"),
        ("api 10/32d", "31 days"),
        ("api 10/s burst=0", "burst: expected a whole number from 1"),
        ("api 10/s burst=", "burst: expected"),
        ("api 10/s burst = 5", "without spaces"),
        ("api 10/s bursts=5", "the options are"),
        ("api 10/s path=/a path=/b", "with commas"),
        ("api 10/s by=ip", "client, server or header"),
        ("api 10/s by=header:", "header:FIELD"),
        ("api 10/s by=header:X_KEY", "write header:X-KEY"),
        ("api 10/s path=api", "such as /api"),
        ("api 10/s path=/a//b", "such as /api"),
        ("api 10/s path=/%61", "such as /api"),
        ("api 10/s path=/a/../b", "such as /api"),
        ("api 10/s method=post", "in capitals"),
        ("api 10/s fields=on", "always, refused or never"),
        ("api 10/s keys=7", "keys: expected"),
        ("api 10/s by=server keys=100", "no meaning"),
        ("api 20000/s", "10000 requests per second"),
        ("api 1/d burst=40", "31 days"),
        ("allow", "allow whom"),
        ("allow 10.0.0.1/8", "allow: expected"),
        ("allow localhost", "allow: expected"),
        ("allow *", "allow: expected"),
        ("# nothing", "there is no rule"),
        ("", "there is no rule"),
    ] {
        let wrong = parse(line).expect_err(line);
        assert!(wrong.starts_with("limits.conf:1: "), "{line}: {wrong}");
        assert!(wrong.contains(reason), "{line}: {wrong}");
    }
}

#[test]
fn all_wrong_lines_are_reported_at_once() {
    let wrong = parse("a 1/s\nb 1\na 2/s\nc x/s\n").expect_err("wrong");
    let lines: Vec<&str> = wrong
        .lines()
        .map(|it| it.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(lines, ["limits.conf:2", "limits.conf:3", "limits.conf:4"]);
    assert!(wrong.contains("line 1 has a rule named a"), "{wrong}");
}
