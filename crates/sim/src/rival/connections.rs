use crate::pool::Lease;

/// A fixed number of connections that are always open.
#[derive(Debug)]
pub(super) struct Connections {
    size: u32,
    free: Vec<u32>,
    serial: u64,
}

impl Connections {
    pub(super) fn new(size: u32) -> Self {
        Self { size, free: (0..size).collect(), serial: 0 }
    }

    pub(super) fn take(&mut self) -> Option<Lease> {
        let place = self.free.pop()?;
        Some(self.lend(place))
    }

    /// The same connection, for somebody else.
    pub(super) fn pass_on(&mut self, lease: Lease) -> Lease {
        self.lend(lease.place)
    }

    pub(super) fn put(&mut self, lease: Lease) {
        self.free.push(lease.place);
    }

    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    fn lend(&mut self, place: u32) -> Lease {
        self.serial += 1;
        Lease { place, serial: self.serial }
    }
}
