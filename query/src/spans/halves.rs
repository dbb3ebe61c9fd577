//! The first half of an aggregate, scan by scan: some scans have a shorter way to what it adds up.
mod exec;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::source::SelectiveSource;
use exec::ShortExec;
pub(super) use exec::Shorter;

/// `plan`, every aggregate of which is replaced where `replace` gives another for it.
pub(super) fn replaced(
    plan: Arc<dyn ExecutionPlan>,
    replace: impl Fn(&AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let made = plan.transform_up(|node| {
        let other = match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) => replace(aggregate)?,
            None => None,
        };
        Ok(match other {
            Some(other) => Transformed::yes(other),
            None => Transformed::no(node),
        })
    })?;
    Ok(made.data)
}

/// The same as `aggregate`, of which the first half is made scan by scan, those by a shorter way that `shorter` gives one
/// for. `None` where it gives none for any scan.
pub(super) fn by_scan<S: Shorter>(
    aggregate: &AggregateExec,
    shorter: impl Fn(&Arc<dyn ExecutionPlan>) -> Option<S>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let is_whole = match aggregate.mode() {
        AggregateMode::Partial => false,
        // One partition: both halves at once.
        AggregateMode::Single if aggregate.group_expr().is_true_no_grouping() => true,
        _ => return Ok(None),
    };
    let input = aggregate.input();
    // Partitions share the files anyway.
    let input = match input.downcast_ref::<RepartitionExec>() {
        Some(spread) if matches!(spread.partitioning(), Partitioning::RoundRobinBatch(_)) => {
            spread.input()
        }
        _ => input,
    };
    let scans = scans(input)?;
    let (mut parts, mut is_any) = (Vec::with_capacity(scans.len()), false);
    let half: Arc<dyn ExecutionPlan> =
        Arc::new(with_mode(aggregate, AggregateMode::Partial, input)?);
    for scan in scans {
        let plain = replace_children_if_necessary(Arc::clone(&half), vec![Arc::clone(&scan)])?;
        let way = shorter(&scan);
        is_any |= way.is_some();
        parts.push(match way {
            Some(way) => Arc::new(ShortExec::new(Arc::new(way), plain)),
            None => plain,
        });
    }
    if !is_any {
        return Ok(None);
    }
    let half = match parts.len() {
        1 => parts.remove(0),
        _ => UnionExec::try_new(parts)?,
    };
    if !is_whole {
        return Ok(Some(half));
    }
    let one: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(half));
    Ok(Some(Arc::new(with_mode(aggregate, AggregateMode::Final, &one)?)))
}

/// What is put together in `input`, each with the projection above it all.
fn scans(input: &Arc<dyn ExecutionPlan>) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
    if let (true, [below]) = (input.is::<ProjectionExec>(), input.children().as_slice()) {
        let shown = scans(below)?.into_iter();
        return shown
            .map(|scan| replace_children_if_necessary(Arc::clone(input), vec![scan]))
            .collect();
    }
    Ok(match input.downcast_ref::<UnionExec>() {
        Some(_) => input.children().into_iter().map(Arc::clone).collect(),
        None => vec![Arc::clone(input)],
    })
}

/// What `plain`, which reads files, does with this file alone, or with a part of it.
fn over_file(
    plain: &Arc<dyn ExecutionPlan>,
    file: &PartitionedFile,
) -> Result<Arc<dyn ExecutionPlan>> {
    let made = Arc::clone(plain).transform_up(|node| {
        let scan = node.downcast_ref::<DataSourceExec>();
        let Some((config, _)) =
            scan.and_then(|scan| scan.downcast_to_file_source::<SelectiveSource>())
        else {
            return Ok(Transformed::no(node));
        };
        let mut config = config.clone();
        config.file_groups = vec![FileGroup::new(vec![file.clone()])];
        Ok(Transformed::yes(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(made.data)
}

/// What `aggregate` does as one of its halves, over `input`.
fn with_mode(
    aggregate: &AggregateExec,
    mode: AggregateMode,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<AggregateExec> {
    AggregateExec::try_new(
        mode,
        aggregate.group_expr().clone(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        Arc::clone(input),
        aggregate.input_schema(),
    )
}
