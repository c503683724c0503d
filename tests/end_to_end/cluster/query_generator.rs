//! Generates queries over given tables: the same query for the same seed, without a dependency.
//!
//! It runs nothing and compares nothing. Two tests use it: `generated` here, with real clients and processes, and that of the cluster
//! crate (crates/cluster/src/tests/queries/generated.rs), with servers in one process.

/// A table that queries are generated over.
pub(crate) struct QueryTable {
    /// A name, or a query in parentheses, with the columns below.
    pub(crate) rows: String,
    /// Columns of numbers.
    pub(crate) numbers: Vec<String>,
    /// Columns of text.
    pub(crate) texts: Vec<String>,
    /// Conditions that only this table's rows allow.
    pub(crate) conditions: Vec<String>,
}

impl QueryTable {
    /// All columns: rows that are ordered by them differ in none of the values that a query can show.
    fn order(&self) -> String {
        [&self.numbers[..], &self.texts[..]].concat().join(", ")
    }
}

/// The generator of one query.
pub(crate) struct QueryGenerator<'a> {
    state: u64,
    tables: &'a [QueryTable],
    has_filter: bool,
}

impl<'a> QueryGenerator<'a> {
    /// `has_filter` allows `FILTER (WHERE ..)` behind aggregates, which MySQL's dialect does not have.
    pub(crate) fn new(seed: u64, tables: &'a [QueryTable], has_filter: bool) -> QueryGenerator<'a> {
        QueryGenerator { state: seed, tables, has_filter }
    }

    /// A number below `bound` (splitmix64).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ mixed >> 31) * bound as u128) >> 64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn choose<'b>(&mut self, list: &'b [&str]) -> &'b str {
        list[self.below(list.len())]
    }

    fn column(&mut self, columns: &[String]) -> String {
        columns[self.below(columns.len())].clone()
    }

    fn number(&mut self, table: &QueryTable, of: &str, depth: usize) -> String {
        if depth == 0 || self.one_in(2) {
            return format!("{of}.{}", self.column(&table.numbers));
        }
        let (one, other) = (self.number(table, of, depth - 1), self.number(table, of, depth - 1));
        match self.below(6) {
            0 => format!("({one} + {other})"),
            1 => format!("({one} - {other})"),
            2 => format!("({one} % {})", 2 + self.below(7)),
            3 => format!("abs({one} - {other})"),
            4 => format!("CASE WHEN {} THEN {one} ELSE {other} END", self.condition(table, of, depth - 1)),
            _ => format!("coalesce(nullif({one}, {}), {other})", self.below(20)),
        }
    }

    fn text(&mut self, table: &QueryTable, of: &str, depth: usize) -> String {
        let column = format!("{of}.{}", self.column(&table.texts));
        match self.below(5) {
            0 if depth > 0 => format!("upper({column})"),
            1 if depth > 0 => format!("substr({column}, {}, 5)", 1 + self.below(3)),
            2 if depth > 0 => format!("concat({column}, '-', {})", self.text(table, of, depth - 1)),
            _ => column,
        }
    }

    fn value(&mut self, table: &QueryTable, of: &str) -> String {
        if self.one_in(3) { self.text(table, of, 2) } else { self.number(table, of, 2) }
    }

    fn condition(&mut self, table: &QueryTable, of: &str, depth: usize) -> String {
        let number = self.number(table, of, depth.min(1));
        let bound = if self.one_in(3) { 600 } else { 40 };
        let constant = self.below(bound);
        match self.below(12) {
            0 if depth > 0 => {
                format!("({} AND {})", self.condition(table, of, depth - 1), self.condition(table, of, depth - 1))
            }
            1 if depth > 0 => {
                format!("({} OR {})", self.condition(table, of, depth - 1), self.condition(table, of, depth - 1))
            }
            2 if depth > 0 => format!("NOT ({})", self.condition(table, of, depth - 1)),
            3 => {
                let text = self.text(table, of, 0);
                format!("{text} = '{}'", self.choose(&["plan", "cache", "own", "glibc_malloc", "none"]))
            }
            4 => {
                let text = self.text(table, of, 1);
                format!("{text} LIKE '{}'", self.choose(&["p%", "%a%", "_wn", "", "%0x%", "%malloc%", "%ex%", "%zz%"]))
            }
            5 => format!("{number} IN ({constant}, {}, {}, 500, 22)", constant + 1, constant * 2),
            6 => format!("{number} BETWEEN {constant} AND {}", constant + 30),
            7 => format!("{} IS NOT NULL", self.text(table, of, 0)),
            8 if !table.conditions.is_empty() => self.column(&table.conditions),
            _ => format!("{number} {} {constant}", self.choose(&["<", ">", "=", "<>", ">=", "<="])),
        }
    }

    fn filter(&mut self, table: &QueryTable, of: &str) -> String {
        if self.one_in(3) { String::new() } else { format!(" WHERE ({})", self.condition(table, of, 2)) }
    }

    /// Rows with the table's columns.
    fn rows(&mut self, table: &QueryTable, depth: usize) -> String {
        if depth == 0 {
            return table.rows.clone();
        }
        match self.below(6) {
            0 => format!("(SELECT * FROM {} r{})", self.rows(table, depth - 1), self.filter(table, "r")),
            1 => format!(
                "(SELECT * FROM {} r{} UNION ALL SELECT * FROM {} r{})",
                self.rows(table, depth - 1),
                self.filter(table, "r"),
                self.rows(table, depth - 1),
                self.filter(table, "r")
            ),
            2 => format!(
                "(SELECT {order} FROM {} r ORDER BY {order} LIMIT {} OFFSET {})",
                self.rows(table, depth - 1),
                self.below(90),
                self.below(30),
                order = table.order()
            ),
            _ => table.rows.clone(),
        }
    }

    fn aggregate(&mut self, table: &QueryTable, of: &str) -> String {
        let (number, text) = (self.number(table, of, 1), self.text(table, of, 1));
        let call = match self.below(13) {
            0 => "count(*)".to_owned(),
            1 => format!("sum({number})"),
            2 => format!("min({number})"),
            3 => format!("max({text})"),
            4 => format!("avg({number})"),
            5 => format!("count(DISTINCT {text})"),
            6 => format!("stddev({number})"),
            7 => format!("sum(DISTINCT {number})"),
            8 => format!("median({number})"),
            9 => format!("bool_or({number} > 10)"),
            10 => format!("min({text})"),
            11 => return format!("string_agg(DISTINCT {text}, ',' ORDER BY {text})"),
            _ => format!("count({number})"),
        };
        if self.has_filter && self.one_in(5) {
            format!("{call} FILTER (WHERE {})", self.condition(table, of, 1))
        } else {
            call
        }
    }

    fn window(&mut self, table: &QueryTable) -> String {
        let partition =
            if self.one_in(2) { format!("PARTITION BY t.{} ", self.column(&table.texts)) } else { String::new() };
        let column = self.column(&table.numbers);
        let call = match self.below(6) {
            0 => format!("max(t.{column})"),
            1 => format!("min(t.{column})"),
            _ => self.choose(&["rank()", "dense_rank()", "count(*)", "ntile(3)"]).to_owned(),
        };
        format!("{call} OVER ({partition}ORDER BY {})", table.order())
    }

    fn values(&mut self, table: &QueryTable) -> Vec<String> {
        (0..=self.below(3)).map(|_| self.value(table, "t")).collect()
    }

    fn list(values: &[String]) -> String {
        let named = values.iter().enumerate().map(|(number, value)| format!("{value} AS v{number}"));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The next query.
    pub(crate) fn query(&mut self) -> String {
        let tables = self.tables;
        let (one, other) = (&tables[self.below(tables.len())], &tables[self.below(tables.len())]);
        let (rows, filter) = (self.rows(one, 2), self.filter(one, "t"));
        match self.below(9) {
            0 => format!("SELECT {} FROM {rows} t{filter}", Self::list(&self.values(one))),
            1 => self.ordered(one, &rows, &filter),
            2 => format!("SELECT DISTINCT {} FROM {rows} t{filter}", Self::list(&self.values(one))),
            3 => {
                let aggregates: Vec<_> = (0..3).map(|_| self.aggregate(one, "t")).collect();
                format!("SELECT {} FROM {rows} t{filter}", Self::list(&aggregates))
            }
            4 => self.grouped(one, &rows, &filter),
            5 => {
                let order = table_columns(one);
                format!("SELECT {order}, {} AS w FROM {rows} t{filter}", self.window(one))
            }
            6 => self.joined(one, other),
            7 => self.nested(one, other, &rows),
            _ if self.one_in(2) => format!(
                "WITH u AS (SELECT {} AS v FROM {rows} t{filter} UNION ALL SELECT {} FROM {} t) \
                 SELECT v, count(*) FROM u GROUP BY v",
                self.text(one, "t", 1),
                self.text(other, "t", 1),
                other.rows
            ),
            _ => {
                let (key, aggregate) = (self.column(&one.texts), self.aggregate(one, "t"));
                format!(
                    "WITH g AS (SELECT t.{key} AS k, {aggregate} AS a FROM {rows} t{filter} GROUP BY 1) \
                     SELECT x.k, x.a, y.a AS b FROM g x LEFT JOIN g y ON x.k = y.k"
                )
            }
        }
    }

    /// Orders by all values, so that the same ones come first.
    fn ordered(&mut self, table: &QueryTable, rows: &str, filter: &str) -> String {
        let values = self.values(table);
        let order: Vec<_> = (1..=values.len())
            .map(|number| format!("{number}{}", self.choose(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])))
            .collect();
        let (limit, offset) = (self.below(60), self.below(20));
        let (list, order) = (Self::list(&values), order.join(", "));
        format!("SELECT {list} FROM {rows} t{filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}")
    }

    fn grouped(&mut self, table: &QueryTable, rows: &str, filter: &str) -> String {
        let keys = self.values(table);
        let groups: Vec<_> = (1..=keys.len()).map(|number| number.to_string()).collect();
        let having = self.choose(&["", "", " HAVING count(*) > 1", " HAVING count(*) > 2"]).to_owned();
        let aggregates = [self.aggregate(table, "t"), self.aggregate(table, "t")];
        let all: Vec<_> = keys.into_iter().chain(aggregates).collect();
        format!("SELECT {} FROM {rows} t{filter} GROUP BY {}{having}", Self::list(&all), groups.join(", "))
    }

    fn joined(&mut self, one: &QueryTable, other: &QueryTable) -> String {
        let kind = self.choose(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
        let kind = kind.to_owned();
        let (left, right) = if self.one_in(2) {
            (self.column(&one.texts), self.column(&other.texts))
        } else {
            (self.column(&one.numbers), self.column(&other.numbers))
        };
        format!(
            "SELECT a.{left} AS k, count(*) AS n FROM (SELECT * FROM {} t{}) a {kind} (SELECT * FROM {} t{}) b \
             ON a.{left} = b.{right} GROUP BY a.{left}",
            one.rows,
            self.filter(one, "t"),
            other.rows,
            self.filter(other, "t")
        )
    }

    /// A query with a subquery in its condition.
    fn nested(&mut self, one: &QueryTable, other: &QueryTable, rows: &str) -> String {
        let not = self.choose(&["", "NOT "]).to_owned();
        let inner = format!("{} t{}", other.rows, self.filter(other, "t"));
        let (left, right) = (self.column(&one.numbers), self.column(&other.numbers));
        let shown = self.value(one, "t");
        match self.below(3) {
            0 => {
                let (value, text) = (self.text(one, "t", 1), self.text(other, "t", 1));
                format!("SELECT {shown} FROM {rows} t WHERE {value} {not}IN (SELECT {text} FROM {inner})")
            }
            1 => format!(
                "SELECT {shown} FROM {rows} t WHERE {not}EXISTS \
                 (SELECT 1 FROM (SELECT * FROM {inner}) i WHERE i.{right} = t.{left} + 1)"
            ),
            _ => format!("SELECT {shown} FROM {rows} t WHERE t.{left} > (SELECT avg(t.{right}) FROM {inner})"),
        }
    }
}

/// All columns of a table under the alias `t`.
fn table_columns(table: &QueryTable) -> String {
    let columns = table.numbers.iter().chain(&table.texts);
    columns.map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ")
}

/// Rounds the floats of a cell: the last digits of a sum depend on the order of its terms.
pub(crate) fn rounded(cell: String) -> String {
    match cell.parse::<f64>() {
        Ok(number) if cell.contains(['.', 'e']) => format!("{number:.6e}"),
        _ => cell,
    }
}

/// The seeds to try: HEAPQL_TRIALS queries, from HEAPQL_SEED on.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = variable("HEAPQL_SEED").unwrap_or(1);
    first..first + variable("HEAPQL_TRIALS").unwrap_or(count)
}
