//! The last step of planning: decides which fragments of a plan run where their rows are. It moves no rows (`gather` does).
//!
//! The engine has planned over scans with one partition per server. Operators that treat partitions one by one may run on the
//! server that holds one: filters, projections, partial aggregates, top-k sorts, limits. Every operator that combines
//! partitions stays here and means what it means on one server, so no kind of query needs a rule of its own. A plan over a
//! single server moves there as far up as possible.

use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use heapql_tables::remote;

use crate::fragment;
use crate::gather::Gather;
use crate::movable::is_movable;

/// Operators that may run where the rows are, from the scan upwards.
struct MovableChain {
    members: Arc<[SocketAddr]>,
    /// Each node as it was planned, and the same node over the one partition of a server.
    steps: Vec<(Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>)>,
}

enum Placement {
    Local(Arc<dyn ExecutionPlan>),
    Remote(MovableChain),
}

/// Returns the same plan with every chain that can run elsewhere behind a [`Gather`].
pub(crate) fn spread(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    localize(place(plan)?)
}

fn place(plan: Arc<dyn ExecutionPlan>) -> Result<Placement> {
    if let (Some(members), Some(one)) = (remote::members(plan.as_ref()), remote::on_one(plan.as_ref())) {
        return Ok(Placement::Remote(MovableChain { members: Arc::clone(members), steps: vec![(plan, one)] }));
    }
    let children: Vec<_> = plan.children().into_iter().cloned().collect();
    if children.is_empty() {
        return Ok(Placement::Local(plan));
    }
    let mut placed = children.iter().cloned().map(place).collect::<Result<Vec<_>>>()?;
    if let [Placement::Remote(chain)] = &mut placed[..]
        && is_movable(plan.as_ref(), chain.members.len() == 1)?
        && let Some((_, below)) = chain.steps.last()
    {
        let one = with_children(&plan, vec![Arc::clone(below)])?;
        chain.steps.push((plan, one));
        return Ok(placed.swap_remove(0));
    }
    let children = placed.into_iter().map(localize).collect::<Result<Vec<_>>>()?;
    Ok(Placement::Local(with_children(&plan, children)?))
}

fn with_children(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(plan).replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Cuts a chain at its highest node that can be encoded. The nodes above it stay on this server.
fn localize(placed: Placement) -> Result<Arc<dyn ExecutionPlan>> {
    let mut chain = match placed {
        Placement::Local(plan) => return Ok(plan),
        Placement::Remote(chain) => chain,
    };
    let mut kept = Vec::new();
    loop {
        let Some((planned, one)) = chain.steps.last() else {
            return Err(DataFusionError::Internal("a scan could not be written".to_owned()));
        };
        match fragment::encode(one) {
            Ok(encoded) => {
                let properties = Arc::clone(planned.properties());
                let gather = Gather::new(Arc::clone(&chain.members), Arc::clone(one), encoded, properties);
                let gather: Arc<dyn ExecutionPlan> = Arc::new(gather);
                return kept.into_iter().rev().try_fold(gather, |below, plan| with_children(&plan, vec![below]));
            }
            Err(error) if chain.steps.len() == 1 => return Err(error),
            Err(_) => kept.extend(chain.steps.pop().map(|(planned, _)| planned)),
        }
    }
}
