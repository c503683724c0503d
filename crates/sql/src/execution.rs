//! The execution of one statement: an answer made by hand, or a query through the engine. What a session remembers is
//! `session`'s.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;

use crate::cancellable::{CancellationToken, cancellable};
use crate::query::{Constants, Query, Tree, Values, parameter_count};
use crate::running::RunningStatement;
use crate::session::{Outcome, Prepared, Session};
use crate::settings::{CLUSTER_LOCAL, CLUSTER_STRICT};
use crate::statements;
use crate::statements::{Answer, Context};
use crate::text::nesting::on_deep_stack;
use crate::text::split;
use crate::text::tokens::{TokenStream, lex};
use heapql_server::ClusterQuery;
use heapql_server::Dialect;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::failure::{Failure, FailureKind, Level, Warning};
use heapql_server::parameters::CLUSTER_TIMEOUT;
use heapql_tables::TableScope;
use heapql_tables::listing::Listing;

/// The name under which a hand-made answer is filtered by its WHERE.
const LISTING: &str = "listing";

/// The diagnostics and the cancellation of a running statement.
pub(crate) struct StatementContext {
    pub(crate) diagnostics: Diagnostics,
    pub(crate) token: Arc<CancellationToken>,
}

/// A statement that is done, or whose rows may be asked for.
pub(crate) enum Execution {
    Done(String),
    Deallocate(Option<String>),
    Rows(SchemaRef, SendableRecordBatchStream),
}

impl Session {
    /// Splits "a; b" at semicolons outside quotes and comments; without empty statements.
    pub fn statements(&self, text: &str) -> Result<Vec<String>, Failure> {
        Ok(split::statements(text, self.dialect()))
    }

    /// Runs one statement. The stream of rows ends with an error when it is cancelled or too late.
    pub async fn execute(self: &Arc<Self>, statement: &str) -> Result<Outcome, Failure> {
        self.run(statement, Vec::new()).await
    }

    /// Checks a statement and tells its parameters and columns. `types` are those that the client declared.
    pub async fn prepare(self: &Arc<Self>, statement: &str, types: &[Option<DataType>]) -> Result<Prepared, Failure> {
        let mut running = self.begin(statement);
        let (session, text, types) = (Arc::clone(self), statement.to_owned(), types.to_vec());
        let work = async move { session.describe(&text, &types, &Diagnostics::default()).await };
        running.guard(self.engine().executor().run(work)).await
    }

    /// Runs a prepared statement with a value for every parameter.
    pub async fn execute_prepared(
        self: &Arc<Self>,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome, Failure> {
        let (wanted, given) = (prepared.parameters.len(), values.len());
        if wanted != given {
            let message = format!("the statement has {wanted} parameters, {given} were given");
            return Err(Failure::new(FailureKind::Query, message));
        }
        self.run(&prepared.text, values).await
    }

    fn begin(&self, text: &str) -> RunningStatement {
        RunningStatement::begin(self.server().connections(), self.connection_id(), text, self.settings().timeout())
    }

    async fn run(self: &Arc<Self>, text: &str, values: Vec<ScalarValue>) -> Result<Outcome, Failure> {
        let mut running = self.begin(text);
        let diagnostics = Diagnostics::default();
        let before = self.replace_diagnostics(diagnostics.clone());
        let at = StatementContext { diagnostics: diagnostics.clone(), token: running.token() };
        let (session, text) = (Arc::clone(self), text.to_owned());
        let work = async move {
            let lexed = lex(&text, session.dialect())?;
            let label = statements::rows_label(&lexed);
            if label.is_diagnostic {
                session.replace_diagnostics(before);
            }
            let execution = on_deep_stack(lexed.nesting, session.start(&lexed, &values, &at)).await?;
            let rows_here = |rows| session.engine().executor().stream(rows);
            Ok(match execution {
                Execution::Rows(schema, rows) => (label, Execution::Rows(schema, rows_here(rows))),
                done => (label, done),
            })
        };
        match running.guard(self.engine().executor().run(work)).await {
            Ok((_, Execution::Done(tag))) => Ok(Outcome::Done { tag }),
            Ok((_, Execution::Deallocate(name))) => Ok(Outcome::Deallocate { name }),
            Ok((label, Execution::Rows(schema, rows))) => {
                let stream = running.stream(rows, Arc::clone(&schema), diagnostics);
                Ok(Outcome::Rows { schema, stream, label })
            }
            Err(failure) => {
                diagnostics.push(Warning { level: Level::Error, kind: failure.kind, message: failure.message.clone() });
                Err(failure)
            }
        }
    }

    pub(crate) async fn start(
        &self,
        lexed: &TokenStream<'_>,
        values: &[ScalarValue],
        at: &StatementContext,
    ) -> Result<Execution, Failure> {
        if lexed.is_empty() {
            return Ok(Execution::Done(String::new()));
        }
        let context = Context { session: self, diagnostics: &at.diagnostics, effective: true };
        match statements::answer(&context, lexed)? {
            Some(Answer::Done(tag)) => Ok(Execution::Done(tag)),
            Some(Answer::Deallocate(name)) => Ok(Execution::Deallocate(name)),
            Some(Answer::Later(work, tag)) => {
                work.await?.into_iter().for_each(|warning| at.diagnostics.push(warning));
                Ok(Execution::Done(tag))
            }
            Some(Answer::Rows(listing, None)) => listed(&listing),
            Some(Answer::Rows(listing, Some(condition))) => self.filtered(&listing, &condition, at).await,
            Some(Answer::Query(text)) => self.query(&lex(&text, self.dialect())?, values, at).await,
            None => self.query(lexed, values, at).await,
        }
    }

    async fn query(
        &self,
        lexed: &TokenStream<'_>,
        values: &[ScalarValue],
        at: &StatementContext,
    ) -> Result<Execution, Failure> {
        let tree = Tree::parse(lexed, self.dialect(), &Constants(self), &at.diagnostics)?;
        let state = self.state_of_statement(&at.diagnostics, None)?;
        let query = tree.plan(&state, &Values::Bound(values)).await?;
        self.run_query(&state, query, &at.token).await
    }

    /// A hand-made answer with a WHERE: the engine filters it under lower-case names, the headings stay.
    async fn filtered(&self, listing: &Listing, condition: &str, at: &StatementContext) -> Result<Execution, Failure> {
        let batch = listing.batch()?;
        let lower = |field: &Arc<Field>| field.as_ref().clone().with_name(field.name().to_lowercase());
        let schema = Arc::new(Schema::new(batch.schema_ref().fields().iter().map(lower).collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let place = MemorySchemaProvider::new();
        place.register_table(LISTING.to_owned(), Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
        let text = format!("SELECT * FROM {LISTING} WHERE {condition}");
        let tree = Tree::parse(&lex(&text, self.dialect())?, self.dialect(), &Constants(self), &at.diagnostics)?;
        let state = self.state_of_statement(&at.diagnostics, Some(Arc::new(place)))?;
        let query = tree.plan(&state, &Values::Bound(&[])).await?;
        self.run_query(&state, Query { plan: query.plan, schema: listing.schema() }, &at.token).await
    }

    /// Describes a statement for PREPARE: nothing runs and nothing changes.
    pub(crate) async fn describe(
        &self,
        text: &str,
        types: &[Option<DataType>],
        diagnostics: &Diagnostics,
    ) -> Result<Prepared, Failure> {
        let lexed = lex(text, self.dialect())?;
        on_deep_stack(lexed.nesting, self.describe_tokens(&lexed, types, diagnostics)).await
    }

    async fn describe_tokens(
        &self,
        lexed: &TokenStream<'_>,
        types: &[Option<DataType>],
        diagnostics: &Diagnostics,
    ) -> Result<Prepared, Failure> {
        let count = parameter_count(lexed).max(types.len());
        let prepared = |parameters, schema| Prepared { parameters, schema, text: lexed.text().to_owned() };
        if lexed.is_empty() {
            return Ok(prepared(Vec::new(), None));
        }
        let context = Context { session: self, diagnostics, effective: false };
        let answer = statements::answer(&context, lexed)?;
        if answer.is_some() && count > 0 {
            return Err(Failure::new(FailureKind::Unsupported, "parameters are for queries only"));
        }
        match answer {
            Some(Answer::Done(_) | Answer::Deallocate(_) | Answer::Later(..)) => Ok(prepared(Vec::new(), None)),
            Some(Answer::Rows(listing, _)) => Ok(prepared(Vec::new(), Some(listing.schema()))),
            Some(Answer::Query(rewritten)) => {
                let (parameters, schema) =
                    self.described(&lex(&rewritten, self.dialect())?, types, 0, diagnostics).await?;
                Ok(prepared(parameters, Some(schema)))
            }
            None => {
                let (parameters, schema) = self.described(lexed, types, count, diagnostics).await?;
                Ok(prepared(parameters, Some(schema)))
            }
        }
    }

    /// Declared types win, then those that the engine infers; what is left is text.
    async fn described(
        &self,
        lexed: &TokenStream<'_>,
        declared: &[Option<DataType>],
        count: usize,
        diagnostics: &Diagnostics,
    ) -> Result<(Vec<DataType>, SchemaRef), Failure> {
        let tree = Tree::parse(lexed, self.dialect(), &Constants(self), diagnostics)?;
        let state = self.state_of_statement(diagnostics, None)?;
        let inferred = if count > 0 { tree.inferred_types(&state, count).await } else { Vec::new() };
        let type_of = |(index, inferred): (usize, Option<DataType>)| {
            declared.get(index).cloned().flatten().or(inferred).unwrap_or(DataType::Utf8)
        };
        let types: Vec<DataType> = inferred.into_iter().enumerate().map(type_of).collect();
        let query = tree.plan(&state, &Values::Typed(&types)).await?;
        Ok((types, query.schema))
    }

    fn state_of_statement(
        &self,
        diagnostics: &Diagnostics,
        extra: Option<Arc<dyn SchemaProvider>>,
    ) -> Result<SessionState, Failure> {
        let catalog = match self.dialect() {
            Dialect::MySql => "def".to_owned(),
            Dialect::Postgres => self.database(),
        };
        let (server, diagnostics) = (Arc::clone(self.server()), diagnostics.clone());
        let cluster_query = self.cluster_query(&diagnostics);
        let scope = TableScope { server, tenant: self.tenant(), catalog, diagnostics, cluster_query };
        self.engine().statement(self.dialect(), &Arc::new(scope), extra)
    }

    fn cluster_query(&self, diagnostics: &Diagnostics) -> Option<Arc<ClusterQuery>> {
        let cluster = Arc::clone(self.server().cluster().filter(|_| !self.settings().is_on(CLUSTER_LOCAL))?);
        let timeout = Duration::from_millis(self.server().parameters().number(&CLUSTER_TIMEOUT).into());
        let is_strict = self.settings().is_on(CLUSTER_STRICT);
        Some(Arc::new(ClusterQuery::new(cluster, self.server().address(), timeout, is_strict, diagnostics.clone())))
    }

    async fn run_query(
        &self,
        state: &SessionState,
        query: Query,
        token: &Arc<CancellationToken>,
    ) -> Result<Execution, Failure> {
        let plan = state.create_physical_plan(&query.plan).await?;
        let cluster_query = state.config().get_extension::<ClusterQuery>();
        if let (Some(cluster_query), Some(distributor)) = (cluster_query, self.engine().distributor()) {
            // All or nothing of each server, before the first row: what is missing is missing everywhere in the plan.
            distributor.gather(&plan, &cluster_query, state.task_ctx()).await?;
        }
        let rows = execute_stream(cancellable(plan, token)?, state.task_ctx())?;
        Ok(Execution::Rows(query.schema, rows))
    }
}

fn listed(listing: &Listing) -> Result<Execution, Failure> {
    let batch = listing.batch()?;
    let rows = futures::stream::iter([Ok(batch)]);
    Ok(Execution::Rows(listing.schema(), Box::pin(RecordBatchStreamAdapter::new(listing.schema(), rows))))
}
