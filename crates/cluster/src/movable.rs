//! The plan nodes and expressions that may run on another server, and the check of a fragment that another server sent.
//!
//! Pure rules over the engine's plans. `spread` decides by them what moves, `fragment` checks by them what arrives.

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
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// Maximum depth of an expression that moves. Messages may be nested a hundred deep, and each expression takes a few levels.
const MAX_EXPRESSION_DEPTH: usize = 16;

/// Returns whether a node treats each partition as if it were the only one. `is_only` says that there is one partition.
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
        is_movable &= is_location_free(root, 0);
        Ok(if is_movable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_movable)
}

/// Returns whether an expression means the same on every server: it reads no server state, is not random, and does not wait
/// for another part of the plan.
fn is_location_free(expression: &Arc<dyn PhysicalExpr>, depth: usize) -> bool {
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
                // It lets every row through until its plan runs.
                || expression.is::<DynamicFilterPhysicalExpr>()
        }
    };
    is_known
        && depth < MAX_EXPRESSION_DEPTH
        && expression.children().into_iter().all(|child| is_location_free(child, depth + 1))
}

/// Returns whether a plan is a fragment as `spread` makes them: it reads no files and asks no further server.
pub(crate) fn is_fragment(plan: &Arc<dyn ExecutionPlan>, is_scan: impl Fn(&dyn ExecutionPlan) -> bool) -> Result<bool> {
    let mut is_fragment = true;
    plan.apply(|node| {
        is_fragment &=
            if node.children().is_empty() { is_scan(node.as_ref()) } else { is_movable(node.as_ref(), true)? };
        Ok(if is_fragment { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_fragment)
}
