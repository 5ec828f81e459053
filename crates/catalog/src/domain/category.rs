//! The tree of categories.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How deep the tree may be.
pub(crate) const MOST_LEVELS: usize = 4;

/// A category with all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Category {
    /// Stays the same.
    pub(crate) id: Uuid,
    /// Names it in links and filters.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// Those that lie in it.
    #[schema(no_recursion)]
    #[expect(clippy::use_self, reason = "the description goes by the name of a type")]
    pub(crate) children: Vec<Category>,
}

/// A category, with its way from the top.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryDetail)]
pub(crate) struct CategoryView<'t> {
    #[serde(flatten)]
    category: &'t Category,
    /// Those that it lies in, the outermost first.
    parents: Vec<Parent<'t>>,
}

/// A category that another one lies in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryParent)]
struct Parent<'t> {
    /// Names it in links and filters.
    slug: &'t str,
    /// What it is called.
    name: &'t str,
}

/// All categories, those at the top first, each level in the order of its positions.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Categories(Vec<Category>);

/// A category as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) slug: String,
    pub(crate) name: String,
}

impl Categories {
    /// The tree of these rows, in their order.
    pub(crate) fn of(rows: &[Row]) -> Self {
        Self(below(rows, None))
    }

    pub(crate) fn find(&self, slug: &str) -> Option<CategoryView<'_>> {
        let mut path = Vec::new();
        path_to(&self.0, slug, &mut path).then_some(())?;
        let category = path.pop()?;
        let parents = path.into_iter().map(|parent| Parent { slug: &parent.slug, name: &parent.name });
        Some(CategoryView { category, parents: parents.collect() })
    }
}

fn below(rows: &[Row], parent: Option<Uuid>) -> Vec<Category> {
    let children = rows.iter().filter(|row| row.parent_id == parent);
    let category = |row: &Row| Category {
        id: row.id,
        slug: row.slug.clone(),
        name: row.name.clone(),
        children: below(rows, Some(row.id)),
    };
    children.map(category).collect()
}

/// Whether it is among these or below them; `path` leads there then.
fn path_to<'t>(categories: &'t [Category], slug: &str, path: &mut Vec<&'t Category>) -> bool {
    for category in categories {
        path.push(category);
        if category.slug == slug || path_to(&category.children, slug, path) {
            return true;
        }
        path.pop();
    }
    false
}
