//! Which old column names are visible where in a statement, and of which tables. Nothing is changed here.

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableFactor, TableWithJoins,
};
use heapql_server::database::{HEAPQL, OCEANBASE};
use heapql_tables::find;

use super::{RENAMED, Renamed, renamed};

/// The scopes around the place that is visited, the innermost last.
#[derive(Default)]
pub(super) struct Scopes(Vec<Scope>);

/// The names that one query, or one SELECT of it, adds.
#[derive(Default)]
struct Scope {
    /// The tables of its WITH.
    with: Vec<Relation>,
    /// The tables of its FROM; in a query's ORDER BY those of its SELECT.
    relations: Vec<Relation>,
    /// Select items with a name of their own: ORDER BY and HAVING look at these first.
    aliases: Vec<&'static Renamed>,
    having: Option<Expr>,
}

/// A table, as far as old names matter.
#[derive(Clone, Default)]
struct Relation {
    name: String,
    columns: Columns,
}

#[derive(Clone, Default)]
struct Columns {
    /// They exist under the new name.
    renamed: Vec<&'static Renamed>,
    /// They really have that name: another table's column, or an alias.
    own: Vec<&'static Renamed>,
}

impl Columns {
    fn of_table(name: &str) -> Columns {
        let table = [OCEANBASE, HEAPQL].into_iter().find_map(|database| find(database, name));
        let columns = table.map(|table| table.columns()).unwrap_or_default();
        Columns {
            renamed: RENAMED.iter().filter(|renamed| renamed.tables.contains(&name)).collect(),
            own: RENAMED.iter().filter(|renamed| columns.iter().any(|column| column.name == renamed.old)).collect(),
        }
    }

    fn named<'a>(names: impl IntoIterator<Item = &'a Ident>) -> Columns {
        Columns { renamed: Vec::new(), own: names.into_iter().filter_map(renamed).collect() }
    }

    fn add(&mut self, other: Columns) {
        self.renamed.extend(other.renamed);
        self.own.extend(other.own);
    }
}

impl Scopes {
    pub(super) fn enter_query(&mut self, query: &Query) {
        self.0.push(Scope::default());
        for Cte { alias, query, .. } in query.with.iter().flat_map(|with| &with.cte_tables) {
            let relation = aliased(Some(alias), "", self.columns(query));
            self.add_with(relation);
        }
    }

    pub(super) fn leave_query(&mut self) {
        self.0.pop();
    }

    pub(super) fn enter_select(&mut self, select: &Select) {
        let relations = self.relations(&select.from);
        self.0.push(Scope { relations, ..Scope::default() });
    }

    /// Keeps HAVING from being visited with the clauses before it.
    pub(super) fn set_aside(&mut self, having: Option<Expr>) {
        if let Some(scope) = self.0.last_mut() {
            scope.having = having;
        }
    }

    /// Makes the aliases visible; gives back what was set aside.
    pub(super) fn enter_having(&mut self, select: &Select) -> Option<Expr> {
        let scope = self.0.last_mut()?;
        scope.aliases = select.projection.iter().filter_map(alias).filter_map(renamed).collect();
        scope.having.take()
    }

    /// Leaves a SELECT, whose names stay visible in the ORDER BY of its query.
    pub(super) fn leave_select(&mut self) {
        if let (Some(select), Some(query)) = (self.0.pop(), self.0.last_mut()) {
            query.relations.extend(select.relations);
            query.aliases.extend(select.aliases);
        }
    }

    /// The renamed column that an expression is, if it is one by its old name.
    pub(super) fn meant_by(&self, expr: &Expr) -> Option<&'static Renamed> {
        match expr {
            Expr::Identifier(name) => self.meant(name, None),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, name] => self.meant(name, Some(table)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn meant(&self, name: &Ident, table: Option<&Ident>) -> Option<&'static Renamed> {
        let renamed = renamed(name)?;
        for scope in self.0.iter().rev() {
            if table.is_none() && scope.aliases.contains(&renamed) {
                return None;
            }
            let is_meant =
                |relation: &&Relation| table.is_none_or(|table| relation.name.eq_ignore_ascii_case(&table.value));
            let relations: Vec<_> = scope.relations.iter().filter(is_meant).collect();
            if relations.iter().any(|relation| relation.columns.own.contains(&renamed)) {
                return None;
            }
            if relations.iter().any(|relation| relation.columns.renamed.contains(&renamed)) {
                return Some(renamed);
            }
        }
        None
    }

    fn add_with(&mut self, relation: Relation) {
        if let Some(scope) = self.0.last_mut() {
            scope.with.push(relation);
        }
    }

    /// The columns that a query gives to the one around it.
    fn columns(&mut self, query: &Query) -> Columns {
        self.enter_query(query);
        let columns = self.columns_of(&query.body);
        self.leave_query();
        columns
    }

    fn columns_of(&mut self, body: &SetExpr) -> Columns {
        match body {
            SetExpr::Select(select) => {
                let relations = self.relations(&select.from);
                let mut columns = Columns::default();
                select.projection.iter().for_each(|item| columns.add(given(item, &relations)));
                columns
            }
            SetExpr::Query(query) => self.columns(query),
            SetExpr::SetOperation { left, .. } => self.columns_of(left),
            _ => Columns::default(),
        }
    }

    fn relations(&mut self, from: &[TableWithJoins]) -> Vec<Relation> {
        let mut relations = Vec::new();
        for table in from {
            let joined = table.joins.iter().map(|join| &join.relation);
            for factor in std::iter::once(&table.relation).chain(joined) {
                self.add_relations(factor, &mut relations);
            }
        }
        relations
    }

    fn add_relations(&mut self, factor: &TableFactor, relations: &mut Vec<Relation>) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let (table, columns) = self.table(name);
                relations.push(aliased(alias.as_ref(), &table, columns));
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.columns(subquery);
                relations.push(aliased(alias.as_ref(), "", columns));
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let inner = self.relations(std::slice::from_ref(table_with_joins));
                if alias.is_none() {
                    relations.extend(inner);
                    return;
                }
                let mut columns = Columns::default();
                inner.into_iter().for_each(|relation| columns.add(relation.columns));
                relations.push(aliased(alias.as_ref(), "", columns));
            }
            _ => {}
        }
    }

    /// A table of a WITH comes before one of ours; a database other than `heapql` has nothing renamed.
    fn table(&self, name: &ObjectName) -> (String, Columns) {
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_ascii_lowercase()).collect();
        let columns = match parts.as_slice() {
            [table] => self.with(table).unwrap_or_else(|| Columns::of_table(table)),
            [.., database, table] if database == HEAPQL => Columns::of_table(table),
            _ => Columns::default(),
        };
        (parts.into_iter().next_back().unwrap_or_default(), columns)
    }

    fn with(&self, table: &str) -> Option<Columns> {
        let mut all = self.0.iter().rev().flat_map(|scope| scope.with.iter().rev());
        all.find(|relation| relation.name.eq_ignore_ascii_case(table)).map(|relation| relation.columns.clone())
    }
}

/// A relation under its alias, which may also name its columns.
fn aliased(alias: Option<&TableAlias>, name: &str, columns: Columns) -> Relation {
    match alias {
        None => Relation { name: name.to_owned(), columns },
        Some(alias) if alias.columns.is_empty() => Relation { name: alias.name.value.clone(), columns },
        Some(alias) => {
            let columns = Columns::named(alias.columns.iter().map(|column| &column.name));
            Relation { name: alias.name.value.clone(), columns }
        }
    }
}

fn alias(item: &SelectItem) -> Option<&Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias),
        _ => None,
    }
}

/// The columns that a select item gives. One that is called by its old name keeps that name.
fn given(item: &SelectItem, relations: &[Relation]) -> Columns {
    let all = |is_meant: &dyn Fn(&Relation) -> bool| {
        let mut columns = Columns::default();
        relations
            .iter()
            .filter(|relation| is_meant(relation))
            .for_each(|relation| columns.add(relation.columns.clone()));
        columns
    };
    match item {
        SelectItem::Wildcard(_) => all(&|_| true),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let last =
                name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str()).unwrap_or_default();
            all(&|relation| relation.name.eq_ignore_ascii_case(last))
        }
        SelectItem::ExprWithAlias { alias, .. } => Columns::named([alias]),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Columns::named([name]),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => Columns::named(parts.last()),
        _ => Columns::default(),
    }
}
