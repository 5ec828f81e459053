use std::time::Instant;

use super::Ledger;
use crate::Rules;
use crate::command::Resize;
use crate::peaks::Peaks;

/// What may be changed at run time.
impl Ledger {
    /// Changes bounds at run time. A lease is never ended by it: what is above a new bound goes as it comes back.
    ///
    /// # Errors
    /// What is wrong with the new bounds; nothing has changed then.
    pub fn resize(&mut self, now: Instant, resize: Resize) -> Result<(), Vec<String>> {
        let ceiling = resize.ceiling.unwrap_or(self.rules.ceiling);
        let rules = Rules {
            min_idle: resize.min_idle.unwrap_or(self.rules.min_idle),
            ceiling,
            initial_limit: self.rules.initial_limit.min(ceiling),
            ..self.rules.clone()
        };
        let faults = rules.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        self.note(now);
        self.rules = Rules { initial_limit: self.rules.initial_limit, ..rules };
        if let Some(limit) = resize.limit {
            self.pinned = limit > 0;
            if limit > 0 {
                self.set_limit(limit, "manual");
            }
        }
        self.trim(now);
        self.pump(now);
        Ok(())
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        // A ceiling that was lowered for a while leaves the limit of the start to come back to.
        Rules { initial_limit: self.rules.initial_limit.min(self.rules.ceiling), ..self.rules.clone() }
    }

    /// Changes any rule at run time. A lease is never ended by it, and who waits keeps the end of its wait. A shorter
    /// lifetime counts from now for the connections that exist.
    ///
    /// # Errors
    /// What is wrong with the new rules; nothing has changed then.
    pub fn set_rules(&mut self, now: Instant, rules: Rules) -> Result<(), Vec<String>> {
        let faults = rules.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        self.note(now);
        if rules.lifetime != self.rules.lifetime {
            self.slots.expire_all_by(rules.lifetime.map(|lifetime| now + lifetime));
        }
        if rules.idle_timeout != self.rules.idle_timeout {
            self.peaks = Peaks::new(now, rules.idle_timeout);
        }
        self.rules = rules;
        self.slots.look_at_all(now);
        self.trim(now);
        self.pump(now);
        Ok(())
    }
}
