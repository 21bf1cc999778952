//! Settings that an application brings, while it is served and while it is not.

use super::*;

pub(super) const NAME: &str = "native:shop";
const SECTION: Section = Section::Application("Shop");

#[derive(Debug, Clone, Default, PartialEq)]
struct Shop {
    tills: u32,
    supplier: Option<String>,
}

fn shop(settings: &Settings) -> &Shop {
    settings.application_values.get().expect("it is served")
}

fn shop_mut(settings: &mut Settings) -> &mut Shop {
    settings.application_values.get_mut()
}

pub(super) static ROWS: &[Setting] = &[
    Setting {
        name: "tills",
        section: SECTION,
        flags: &["--tills"],
        kind: Kind::Value("COUNT"),
        default: "2",
        bare: Some("TILLS"),
        standing: Standing::Works,
        help: "How many tills are open.",
        apply: |settings, text| {
            parse::number(text, 1..=9).map(|value| shop_mut(settings).tills = value)
        },
        show: |settings| shop(settings).tills.to_string(),
    },
    Setting {
        name: "supplier",
        section: SECTION,
        flags: &["--supplier"],
        kind: Kind::Value("URL"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "Who delivers.",
        apply: |settings, text| {
            shop_mut(settings).supplier = parse::optional(text);
            Ok(())
        },
        show: |settings| shop(settings).supplier.clone().unwrap_or_default(),
    },
];

pub(super) fn all() -> ApplicationSettings {
    ApplicationSettings::by_name([
        (NAME.to_owned(), ROWS),
        ("native:plain".to_owned(), &[] as &[Setting]),
    ])
}

#[test]
fn its_settings_are_read_from_every_source() {
    assert_eq!(shop(&load(&[NAME], &[]).settings).tills, 2);
    for (arguments, environment) in [
        (&["--tills", "7"][..], &[][..]),
        (&[], &[("OXICORN_TILLS", "7")]),
        (&[], &[("TILLS", "7")]),
        (&[], &[("OXICORN_CMD_ARGS", "--tills 7")]),
        (&["--tills", "7"], &[("TILLS", "none")]),
    ] {
        let arguments = [&[NAME], arguments].concat();
        let loaded = load(&arguments, environment);
        assert_eq!(shop(&loaded.settings).tills, 7);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert!(
            loaded
                .origin("tills")
                .is_some_and(|it| *it != Origin::Default)
        );
    }
    assert_eq!(
        refusal(&[NAME], &[("TILLS", "none")]),
        "variable TILLS: invalid value \"none\": expected a whole number from 1 to 9"
    );
    let printed = load(&[NAME, "--supplier", "https://me:secret@host"], &[]).print_config();
    assert!(printed.contains("https://me:***@host") && !printed.contains("secret"));
}

#[test]
fn where_another_application_is_served_they_are_refused() {
    for application in ["native:hello", "native:plain", "shop.wsgi:application"] {
        load(&[application], &[("TILLS", "none")]);
        assert_eq!(
            refusal(&[application, "--tills", "7"], &[]),
            "flag --tills: a setting of native:shop, which is not served"
        );
        assert_eq!(
            load(&[application], &[("OXICORN_TILLS", "none")]).warnings,
            ["variable OXICORN_TILLS is a setting of native:shop and is ignored"]
        );
    }
}

#[test]
fn a_program_of_one_application_always_has_its_settings() {
    let mut source = source(&["--tills", "4"], &[]);
    source.applications = ApplicationSettings::of_program(ROWS);
    let loaded = Settings::load(&source).expect("good settings");
    assert_eq!(shop(&loaded.settings).tills, 4);
    source.arguments = vec!["shop".into(), "--help".into()];
    let help = Settings::load(&source).expect_err("an answer").to_string();
    assert!(help.contains("--tills"), "{help}");
}

#[test]
fn help_shows_them_for_the_application_that_is_named() {
    let help = |arguments: &[&str]| {
        let error = Settings::load(&source(arguments, &[])).expect_err("an answer");
        error.to_string()
    };
    assert!(help(&[NAME, "--help"]).contains("--tills"));
    assert!(help(&["--help", NAME]).contains("--tills"));
    let plain = help(&["--help"]);
    assert!(!plain.contains("--tills") && plain.contains("oxicorn native:shop --help"));
    assert!(!plain.contains("native:plain"));
}

#[test]
fn names_and_flags_of_the_server_are_refused() {
    static CLASHES: [Setting; 2] = [
        Setting {
            name: "workers",
            flags: &["--shop-workers"],
            ..CLASH
        },
        Setting {
            name: "shop_workers",
            flags: &["--workers"],
            ..CLASH
        },
    ];
    const CLASH: Setting = Setting {
        name: "",
        section: SECTION,
        flags: &[],
        kind: Kind::Value("COUNT"),
        default: "1",
        bare: None,
        standing: Standing::Works,
        help: "Clashes.",
        apply: |_, _| Ok(()),
        show: |_| "1".to_owned(),
    };
    for rows in CLASHES.chunks(1) {
        let mut source = source(&[], &[]);
        source.applications = ApplicationSettings::of_program(rows);
        let error = Settings::load(&source).expect_err("a clash").to_string();
        assert!(error.ends_with("the server's workers"), "{error}");
    }
}
