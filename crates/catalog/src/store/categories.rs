use forebay_platform::db::Conn;
use sqlx::Error;
use uuid::Uuid;

use crate::domain::CategoryRow;

/// All of them, each level in the order of its positions.
pub(crate) async fn all(conn: &mut Conn<'_>) -> Result<Vec<CategoryRow>, Error> {
    sqlx::query_as!(CategoryRow, "select id, parent_id, slug, name from catalog.categories order by position, slug",)
        .fetch_all(conn)
        .await
}

/// The category of this slug and those that it lies in, the outermost last; none where there is none.
pub(crate) async fn path_to(conn: &mut Conn<'_>, slug: &str) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        with recursive path as (
            select id, parent_id, 1 as level from catalog.categories where slug = $1
            union all
            select c.id, c.parent_id, p.level + 1 from catalog.categories c join path p on c.id = p.parent_id
        )
        select id as "id!" from path order by level
        "#,
        slug,
    )
    .fetch_all(conn)
    .await
}

/// The category of this slug and all that lie below it; none where there is none.
pub(crate) async fn within(conn: &mut Conn<'_>, slug: &str) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        with recursive within as (
            select id from catalog.categories where slug = $1
            union all
            select c.id from catalog.categories c join within w on c.parent_id = w.id
        )
        select id as "id!" from within
        "#,
        slug,
    )
    .fetch_all(conn)
    .await
}
