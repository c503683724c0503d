//! A small table whose rows are all made at once, and are this server's to know: the tables of both information schemas,
//! and the servers.

use std::sync::Arc;

use datafusion::error::Result;

use crate::batch::batches;
use crate::listing::{Cell, cells};
use crate::{Batches, Column, Request, Scope, SystemTable};

pub(crate) type Rows = fn(&Scope) -> Vec<Vec<Cell>>;

#[derive(Debug)]
pub(crate) struct Listed {
    name: &'static str,
    comment: &'static str,
    columns: &'static [Column],
    rows: Rows,
}

impl Listed {
    pub(crate) fn table(
        name: &'static str,
        comment: &'static str,
        columns: &'static [Column],
        rows: Rows,
    ) -> Arc<dyn SystemTable> {
        Arc::new(Listed { name, comment, columns, rows })
    }
}

impl SystemTable for Listed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn comment(&self) -> &'static str {
        self.comment
    }

    fn columns(&self) -> &'static [Column] {
        self.columns
    }

    fn is_local(&self) -> bool {
        true
    }

    fn scan(&self, scope: &Scope, request: &Request) -> Result<Batches> {
        let columns = self.columns;
        Ok(batches(columns, request, (self.rows)(scope), move |name, rows| {
            let index = columns.iter().position(|column| column.name == name).unwrap_or_default();
            cells(columns[index].kind, rows.iter().map(|row| &row[index]))
        }))
    }
}
