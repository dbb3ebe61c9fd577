//! The answer to "what shall I sample?": Jaeger's `SamplingStrategyResponse`, as JSON and as protobuf
//! (<https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/sampling.proto>).
use serde::Serialize;

/// What one service is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strategy {
    /// Share of operations that are not listed.
    pub(super) rate: f64,
    /// Traces a second that each process keeps of each operation in any case.
    pub(super) lower_bound: f64,
    /// Operations and their shares, by name.
    pub(super) operations: Vec<(String, f64)>,
}

/// How the strategy's type is written: as the collector does today, or with the numbers that its oldest path gave.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    /// `"PROBABILISTIC"`.
    Name,
    /// `0`.
    Number,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'s> {
    strategy_type: serde_json::Value,
    probabilistic_sampling: Probabilistic,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_sampling: Option<PerOperation<'s>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probabilistic {
    sampling_rate: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PerOperation<'s> {
    default_sampling_probability: f64,
    default_lower_bound_traces_per_second: f64,
    per_operation_strategies: Vec<OperationStrategy<'s>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationStrategy<'s> {
    operation: &'s str,
    probabilistic_sampling: Probabilistic,
}

impl Strategy {
    /// The list is left out where there is nothing in it and no lower bound: then one rate says all.
    fn lists_operations(&self) -> bool {
        !self.operations.is_empty() || self.lower_bound > 0.0
    }

    /// JSON, as `GET /sampling` gives it.
    pub(super) fn json(&self, strategy_type: Type) -> String {
        let strategies = self.operations.iter().map(|(operation, rate)| OperationStrategy {
            operation,
            probabilistic_sampling: Probabilistic { sampling_rate: *rate },
        });
        let operations = self.lists_operations().then(|| PerOperation {
            default_sampling_probability: self.rate,
            default_lower_bound_traces_per_second: self.lower_bound,
            per_operation_strategies: strategies.collect(),
        });
        let response = Response {
            strategy_type: match strategy_type {
                Type::Name => "PROBABILISTIC".into(),
                Type::Number => 0.into(),
            },
            probabilistic_sampling: Probabilistic { sampling_rate: self.rate },
            operation_sampling: operations,
        };
        serde_json::to_string(&response).unwrap_or_default()
    }

    /// Protobuf, as `SamplingManager/GetSamplingStrategy` gives it.
    pub(super) fn protobuf(&self) -> Vec<u8> {
        let mut response = Vec::new();
        message(&mut response, 2, &probabilistic(self.rate));
        if self.lists_operations() {
            let mut operations = Vec::new();
            double(&mut operations, 1, self.rate);
            double(&mut operations, 2, self.lower_bound);
            for (name, rate) in &self.operations {
                let mut strategy = Vec::new();
                message(&mut strategy, 1, name.as_bytes());
                message(&mut strategy, 2, &probabilistic(*rate));
                message(&mut operations, 3, &strategy);
            }
            message(&mut response, 4, &operations);
        }
        response
    }
}

fn probabilistic(rate: f64) -> Vec<u8> {
    let mut strategy = Vec::new();
    double(&mut strategy, 1, rate);
    strategy
}

fn double(out: &mut Vec<u8>, number: u8, value: f64) {
    out.push(number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn message(out: &mut Vec<u8>, number: u8, message: &[u8]) {
    super::protobuf::put(out, number, message);
}
