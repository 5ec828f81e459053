use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::{Arguments, Postgres, Row, Type};

/// How a statement goes out, as far as it is known before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// The server keeps it under a name.
    pub(crate) named: bool,
    /// The driver refuses it before it sends anything.
    pub(crate) refused: bool,
    /// Bytes of its text, which both ends keep with a name.
    pub(crate) text: usize,
    /// Bytes of its arguments.
    pub(crate) arguments: usize,
}

impl Form {
    /// Of a command of the pool's own.
    pub(crate) const NONE: Self = Self { named: false, refused: false, text: 0, arguments: 0 };
    /// The protocol counts parameters in 16 bits, and the driver does so first of all.
    const PARAMETERS: usize = u16::MAX as usize;

    pub(super) fn of(sql: &str, arguments: &mut Result<Option<PgArguments>, BoxDynError>, persistent: bool) -> Self {
        let plain = Self { text: sql.len(), ..Self::NONE };
        match arguments {
            Err(_) => Self { refused: true, ..plain },
            Ok(None) => plain,
            Ok(Some(arguments)) => {
                let refused = arguments.len() > Self::PARAMETERS;
                Self { named: persistent && !refused, refused, arguments: size_of_arguments(arguments), ..plain }
            }
        }
    }

    /// Of what is only prepared.
    pub(crate) const fn prepared(sql: &str, parameters: &[PgTypeInfo]) -> Self {
        let refused = parameters.len() > Self::PARAMETERS;
        Self { named: !refused, refused, text: sql.len(), arguments: 0 }
    }
}

/// Encoded last, it sees how long the arguments are, and fails, so that nothing is added to them. They have no other way
/// to be asked.
struct Look<'l>(&'l mut usize);

#[derive(Debug)]
struct Seen;

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the arguments were looked at")
    }
}

impl std::error::Error for Seen {}

impl Type<Postgres> for Look<'_> {
    fn type_info() -> PgTypeInfo {
        <i32 as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Look<'_> {
    fn encode(self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        *self.0 = buffer.len();
        // A value without a size: nothing is allocated for it.
        Err(Box::new(Seen))
    }

    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Err(Box::new(Seen))
    }
}

fn size_of_arguments(arguments: &mut PgArguments) -> usize {
    let mut size = 0;
    if arguments.len() > 0 {
        // It fails by design.
        let _seen = arguments.add(Look(&mut size));
    }
    size
}

/// The bytes of a row: they lie one behind the other, so that the first and the last that are there tell.
pub(crate) fn size_of_row(row: &PgRow) -> usize {
    let columns = 0..row.columns().len();
    let value = |column: usize| row.try_get_raw(column).ok()?.as_bytes().ok().map(<[u8]>::as_ptr_range);
    let first = columns.clone().find_map(value);
    let last = columns.rev().find_map(value);
    first.zip(last).map_or(0, |(first, last)| last.end.addr().saturating_sub(first.start.addr()))
}
