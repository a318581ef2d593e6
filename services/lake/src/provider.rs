//! A pinned snapshot as a DataFusion table: a plain Parquet scan over its list of files.
//!
//! Filters on the partition column choose files here; all filters are pushed into the Parquet scan by the optimiser.
//! Sizes are told to the planner as estimates only, so that no aggregate becomes a literal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::{ObjectMeta, ObjectStore};

use crate::file;
use crate::log::{TableLog, TableState};
use crate::schema::Layout;
use crate::store::Place;

pub(crate) struct LakeProvider {
    name: String,
    /// The contract's columns, in its order.
    schema: SchemaRef,
    /// What the files are read as: the columns without the partition column, and that after them.
    table_schema: TableSchema,
    partition_column: &'static str,
    files: Vec<DataFile>,
    store: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
}

struct DataFile {
    month: Option<String>,
    rows: Option<usize>,
    file: PartitionedFile,
}

impl fmt::Debug for LakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeProvider")
            .field("table", &self.name)
            .field("files", &self.files.len())
            .finish()
    }
}

impl LakeProvider {
    pub fn new(place: &Place, log: &TableLog, layout: &Layout, state: &TableState) -> Self {
        let partition_field = Field::new(layout.partition_column, arrow::datatypes::DataType::Utf8, true);
        let table_schema = TableSchema::builder(file::file_schema(&layout.schema, layout.partition_column))
            .with_table_partition_cols(vec![Arc::new(partition_field)])
            .build();
        let files = state.files.values().map(|add| {
            let month = layout.partition_of(add).map(str::to_owned);
            let meta = ObjectMeta {
                location: add
                    .path
                    .split('/')
                    .fold(log.prefix.clone(), |path, part| path.join(part)),
                last_modified: chrono::DateTime::from_timestamp_millis(add.modification_time).unwrap_or_default(),
                size: u64::try_from(add.size).unwrap_or(0),
                e_tag: None,
                version: None,
            };
            let mut file = PartitionedFile::new_from_meta(meta);
            file.partition_values = vec![ScalarValue::Utf8(month.clone())];
            let rows = file::row_count(add).and_then(|rows| usize::try_from(rows).ok());
            DataFile { month, rows, file }
        });
        Self {
            name: layout.name.clone(),
            schema: Arc::new(Schema::new(layout.schema.fields().clone())),
            table_schema,
            partition_column: layout.partition_column,
            files: files.collect(),
            store: place.store.clone(),
            url: store_url(place),
        }
    }

    /// Partition values that some row may have under filters on that column alone.
    fn surviving(&self, state: &dyn Session, filters: &[Expr]) -> Result<BTreeSet<Option<String>>> {
        let mut months: BTreeSet<Option<String>> = self.files.iter().map(|file| file.month.clone()).collect();
        let field = Field::new(self.partition_column, arrow::datatypes::DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![field]));
        let df_schema = DFSchema::try_from(schema.clone())?;
        for filter in filters {
            let columns = filter.column_refs();
            if columns.is_empty() || columns.iter().any(|column| column.name != self.partition_column) {
                continue;
            }
            // Columns may come qualified by the table's name in the query.
            let bare = |expr: Expr| match expr {
                Expr::Column(column) => {
                    let column = datafusion::common::Column::new_unqualified(column.name);
                    Ok(datafusion::common::tree_node::Transformed::yes(Expr::Column(column)))
                }
                other => Ok(datafusion::common::tree_node::Transformed::no(other)),
            };
            let bare = datafusion::common::tree_node::TreeNode::transform(filter.clone(), bare)?.data;
            let Ok(physical) = state.create_physical_expr(bare, &df_schema) else {
                continue;
            };
            let values: Vec<Option<String>> = months.iter().cloned().collect();
            let column: ArrayRef = Arc::new(values.iter().map(Option::as_deref).collect::<StringArray>());
            let batch = RecordBatch::try_new(schema.clone(), vec![column])?;
            let verdict = physical.evaluate(&batch)?.into_array(values.len())?;
            let Some(verdict) = verdict.as_boolean_opt() else {
                continue;
            };
            let passes = |row: usize| verdict.is_valid(row) && verdict.value(row);
            months = values
                .into_iter()
                .enumerate()
                .filter(|(row, _)| passes(*row))
                .map(|(_, value)| value)
                .collect();
        }
        Ok(months)
    }

    /// Spreads files over at most `target` groups of about equal bytes.
    fn groups(files: &[&DataFile], target: usize) -> Vec<FileGroup> {
        let mut by_size: Vec<&&DataFile> = files.iter().collect();
        by_size.sort_by_key(|file| std::cmp::Reverse(file.file.object_meta.size));
        let mut groups: BTreeMap<usize, (u64, Vec<PartitionedFile>)> = BTreeMap::new();
        for file in by_size {
            let index = match groups.len() < target {
                true => groups.len(),
                false => {
                    *groups
                        .iter()
                        .min_by_key(|(_, (bytes, _))| *bytes)
                        .expect("target is above 0")
                        .0
                }
            };
            let group = groups.entry(index).or_default();
            group.0 += file.file.object_meta.size;
            group.1.push(file.file.clone());
        }
        groups.into_values().map(|(_, files)| FileGroup::new(files)).collect()
    }

    fn estimate(&self, files: &[&DataFile]) -> Statistics {
        let mut statistics = Statistics::new_unknown(self.table_schema.table_schema());
        statistics.num_rows = match files.iter().map(|file| file.rows).sum::<Option<usize>>() {
            Some(rows) => Precision::Inexact(rows),
            None => Precision::Absent,
        };
        statistics
    }
}

#[async_trait]
impl TableProvider for LakeProvider {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let runtime = state.runtime_env();
        runtime.register_object_store(self.url.as_ref(), self.store.clone());
        let months = self.surviving(state, filters)?;
        let files: Vec<&DataFile> = self.files.iter().filter(|file| months.contains(&file.month)).collect();
        if files.is_empty() {
            // A scan of no file has no partition, over which neither a window nor a sort can be planned.
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => self.schema.clone(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let cache = runtime.cache_manager.get_file_metadata_cache();
        let reader = Arc::new(CachedParquetFileReaderFactory::new(self.store.clone(), cache));
        let options = state.table_options().parquet.clone();
        let source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(reader);
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let stored = self.table_schema.table_schema();
        let indices = wanted
            .iter()
            .map(|&index| Ok(stored.index_of(self.schema.field(index).name())?));
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(Self::groups(&files, state.config().target_partitions().max(1)))
            .with_statistics(self.estimate(&files))
            .with_projection_indices(Some(indices.collect::<Result<Vec<_>>>()?))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// DataFusion finds a store by scheme and host: one for each lake, whatever its address looks like.
fn store_url(place: &Place) -> ObjectStoreUrl {
    let address = format!("{}{}", place.url.scheme(), place.url.host_str().unwrap_or_default());
    let plain: String = address
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
        .collect();
    let store = Arc::as_ptr(&place.store).cast::<()>() as usize;
    ObjectStoreUrl::parse(format!("casewatch-lake://{plain}-{store:x}")).expect("letters, digits and dashes are a host")
}
