//! Whatever is written as a configuration is used or refused, and what is used has no fault.
#![no_main]

use forebay_pool::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::named("fuzz").with_settings(text) {
        Ok(config) => assert!(config.faults().is_empty()),
        Err(error) => assert!(!error.faults.is_empty() && !error.to_string().is_empty()),
    }
});
