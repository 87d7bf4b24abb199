//! Sharing out a number of bytes by weight without losing any.

/// Hands out `amount` by weights that add up to `total`.
#[derive(Debug)]
pub(super) struct Shares {
    amount: u128,
    total: u128,
    before: u128,
}

impl Shares {
    pub(super) fn new(amount: u64, total: u64) -> Self {
        Self { amount: amount.into(), total: u128::from(total).max(1), before: 0 }
    }

    /// The share of the next weight.
    pub(super) fn next(&mut self, weight: u64) -> u64 {
        let upto = |weight: u128| self.amount * weight / self.total;
        let share = upto(self.before + u128::from(weight)) - upto(self.before);
        self.before += u128::from(weight);
        // A share of a u64.
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}
