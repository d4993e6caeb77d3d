//! A configuration file, as `standin config check`, `config show` and the agent read it.

use standin::agent::check_heartbeat;
use standin::config::Config;

/// Any bytes in the file: refused with words that help, or read; what is shown of it can be read again, and
/// is the same.
pub fn any(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let config = match Config::parse(text, "standin.toml") {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.problems.is_empty());
            for it in &error.problems {
                assert!(!it.rule.is_empty() && !it.remedy.is_empty(), "{it:?}");
                assert!(it.line <= text.matches('\n').count() + 1, "{it:?}");
                let words = it.to_string();
                assert!(!words.contains(|c: char| c.is_control() && c != '\n'), "{words:?}");
            }
            return;
        }
    };
    if let Err(error) = check_heartbeat(&config) {
        assert!(!error.to_string().is_empty());
    }
    let shown = config.show();
    let again = Config::parse(&shown, "shown").unwrap_or_else(|error| panic!("{error}\n{shown}"));
    assert_eq!(again.show(), shown);
    // A word of a hook that looks like a secret is not shown, and so is not read again.
    if !shown.contains("<hidden>") {
        assert_eq!(again, config);
        assert_eq!(again.hash(), config.hash());
    }
}
