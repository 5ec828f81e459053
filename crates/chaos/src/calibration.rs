//! How much the legacy arm can do: arithmetic over what was measured, then a short check under load.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The legacy pool's size.
pub const LEGACY_POOL: u32 = 10;
/// The bad habit: how long each lease comes back too late, in seconds.
pub const LATE_RETURN_S: f64 = 0.045;

/// What was measured under light load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Leases per request of the mix.
    pub leases_per_request: f64,
    /// Seconds a lease is used before it would come back, the late return left out.
    pub base_hold_s: f64,
}

/// The calibrated capacity of the legacy arm and the load that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// What it follows from.
    pub measured: Measured,
    /// Requests of the mix a second that ten leases can serve.
    pub capacity: f64,
    /// Errors in percent during the check.
    pub check_errors_percent: f64,
    /// Requests a second offered in the check.
    pub check_offered: f64,
    /// Requests a second that succeeded in the check.
    pub check_served: f64,
}

/// Requests a second that `pool` leases can serve: each is out for the late return and the base hold.
#[must_use]
pub fn capacity(pool: u32, measured: Measured) -> f64 {
    f64::from(pool) / (LATE_RETURN_S + measured.base_hold_s) / measured.leases_per_request
}

/// The base hold from Little's law: mean leases in use = leases a second x (late return + base hold).
#[must_use]
pub fn base_hold_s(mean_in_use: f64, leases_per_second: f64) -> f64 {
    (mean_in_use / leases_per_second - LATE_RETURN_S).max(0.0)
}

impl Calibration {
    /// Whether the check agrees with the arithmetic: below capacity nothing fails and nothing is left lying.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.check_errors_percent < 1.0 && self.check_served >= 0.9 * self.check_offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_leases_held_for_45_ms_serve_222_single_lease_requests_a_second() {
        let measured = Measured { leases_per_request: 1.0, base_hold_s: 0.0 };
        assert_eq!(capacity(10, measured).round(), 222.0);
    }

    #[test]
    fn an_order_that_leases_twice_lowers_the_capacity() {
        let measured = Measured { leases_per_request: 1.05, base_hold_s: 0.002 };
        assert_eq!(capacity(10, measured).round(), 203.0);
    }

    #[test]
    fn the_base_hold_is_what_the_late_return_does_not_explain() {
        assert!((base_hold_s(4.8, 100.0) - 0.003).abs() < 1e-9);
        assert_eq!(base_hold_s(4.0, 100.0), 0.0);
    }

    #[test]
    fn a_check_that_sheds_load_does_not_hold() {
        let measured = Measured { leases_per_request: 1.0, base_hold_s: 0.0 };
        let good = Calibration {
            measured,
            capacity: 222.0,
            check_errors_percent: 0.0,
            check_offered: 170.0,
            check_served: 165.0,
        };
        assert!(good.holds());
        assert!(!Calibration { check_errors_percent: 2.0, ..good }.holds());
        assert!(!Calibration { check_served: 120.0, ..good }.holds());
    }
}
