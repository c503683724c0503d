//! Which part of a plan runs where the rows are: the last step of planning. It moves nothing itself (`gather` does).
//!
//! The engine has planned over scans with a partition for each server, so whatever treats partitions one by one may run on
//! the server that holds one: filters, projections, partial aggregates, the first rows of an order, limits. Everything
//! that brings partitions together stays here and means what it means on one server; that is why no kind of query needs a
//! rule of its own. A plan over one server only goes there as far up as possible.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Volatility;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr,
    Literal, NegativeExpr, NotExpr, TryCastExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use heapql_tables::remote;

use crate::fragment;
use crate::gather::Gather;

/// Expressions that are deeper stay here: the wire's messages may be nested a hundred deep, and each takes a few.
const MOST_NESTED: usize = 16;

/// A plan whose rows other servers hold, with what each of them does for it.
struct Chain {
    members: Arc<[SocketAddr]>,
    /// From the scan upwards: the node as it was planned, and its one partition on a server.
    steps: Vec<(Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>)>,
}

enum Placed {
    Here(Arc<dyn ExecutionPlan>),
    There(Chain),
}

/// The same plan with every part that can run elsewhere behind a `Gather`.
pub(crate) fn spread(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    here(place(plan)?)
}

fn place(plan: Arc<dyn ExecutionPlan>) -> Result<Placed> {
    if let (Some(members), Some(one)) = (remote::members(plan.as_ref()), remote::on_one(plan.as_ref())) {
        return Ok(Placed::There(Chain { members: Arc::clone(members), steps: vec![(plan, one)] }));
    }
    let children: Vec<_> = plan.children().into_iter().cloned().collect();
    if children.is_empty() {
        return Ok(Placed::Here(plan));
    }
    let mut placed = children.iter().cloned().map(place).collect::<Result<Vec<_>>>()?;
    if let [Placed::There(chain)] = &mut placed[..]
        && is_movable(plan.as_ref(), chain.members.len() == 1)?
        && let Some((_, below)) = chain.steps.last()
    {
        let one = over(&plan, vec![Arc::clone(below)])?;
        chain.steps.push((plan, one));
        return Ok(placed.swap_remove(0));
    }
    let children = placed.into_iter().map(here).collect::<Result<Vec<_>>>()?;
    Ok(Placed::Here(over(&plan, children)?))
}

fn over(plan: &Arc<dyn ExecutionPlan>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(plan).replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// As much of a chain as can be written for the wire goes; what cannot stays above it.
fn here(placed: Placed) -> Result<Arc<dyn ExecutionPlan>> {
    let mut chain = match placed {
        Placed::Here(plan) => return Ok(plan),
        Placed::There(chain) => chain,
    };
    let mut kept = Vec::new();
    loop {
        let Some((planned, one)) = chain.steps.last() else {
            return Err(datafusion::error::DataFusionError::Internal("a scan could not be written".to_owned()));
        };
        match fragment::encode(one) {
            Ok(fragment) => {
                let properties = Arc::clone(planned.properties());
                let gather = Gather::new(Arc::clone(&chain.members), Arc::clone(one), fragment, properties);
                let gather: Arc<dyn ExecutionPlan> = Arc::new(gather);
                return kept.into_iter().rev().try_fold(gather, |below, plan| over(&plan, vec![below]));
            }
            Err(error) if chain.steps.len() == 1 => return Err(error),
            Err(_) => kept.extend(chain.steps.pop().map(|(planned, _)| planned)),
        }
    }
}

/// Whether a node does to each partition what it would do to it alone. `is_only`: there is but one.
pub(crate) fn is_movable(plan: &dyn ExecutionPlan, is_only: bool) -> Result<bool> {
    let is_partial = |mode: &AggregateMode| matches!(mode, AggregateMode::Partial | AggregateMode::PartialReduce);
    let is_local = if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        is_only || is_partial(aggregate.mode())
    } else if let Some(sort) = plan.downcast_ref::<SortExec>() {
        is_only || sort.preserve_partitioning()
    } else if plan.is::<GlobalLimitExec>() {
        is_only
    } else {
        plan.is::<FilterExec>()
            || plan.is::<ProjectionExec>()
            || plan.is::<LocalLimitExec>()
            || plan.is::<CooperativeExec>()
    };
    if !is_local || plan.output_partitioning().partition_count() == 0 {
        return Ok(false);
    }
    let mut is_movable = true;
    plan.apply_expressions(&mut |root| {
        is_movable &= is_plain(root, 0);
        Ok(if is_movable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_movable)
}

/// Whether an expression means the same elsewhere: nothing that looks at a server, draws lots, or waits for another part
/// of the plan.
fn is_plain(expression: &Arc<dyn PhysicalExpr>, depth: usize) -> bool {
    let is_known = match expression.downcast_ref::<ScalarFunctionExpr>() {
        Some(function) => function.fun().signature().volatility != Volatility::Volatile,
        None => {
            expression.is::<Column>()
                || expression.is::<Literal>()
                || expression.is::<BinaryExpr>()
                || expression.is::<CastExpr>()
                || expression.is::<TryCastExpr>()
                || expression.is::<CaseExpr>()
                || expression.is::<InListExpr>()
                || expression.is::<LikeExpr>()
                || expression.is::<NotExpr>()
                || expression.is::<NegativeExpr>()
                || expression.is::<IsNullExpr>()
                || expression.is::<IsNotNullExpr>()
                // As long as nothing has run it lets everything through.
                || expression.is::<DynamicFilterPhysicalExpr>()
        }
    };
    is_known && depth < MOST_NESTED && expression.children().into_iter().all(|child| is_plain(child, depth + 1))
}

/// Whether a piece that another server sent is one that [`spread`] makes: nothing that reads files or goes further.
pub(crate) fn is_piece(plan: &Arc<dyn ExecutionPlan>, is_scan: impl Fn(&dyn ExecutionPlan) -> bool) -> Result<bool> {
    let mut is_piece = true;
    plan.apply(|node| {
        is_piece &= if node.children().is_empty() { is_scan(node.as_ref()) } else { is_movable(node.as_ref(), true)? };
        Ok(if is_piece { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_piece)
}
