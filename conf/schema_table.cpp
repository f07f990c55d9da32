// SPDX-License-Identifier: MIT
#include "conf/fields.h"
#include "conf/schema.h"

#include <array>

namespace bitnetd::conf {

namespace {

using enum value_type;
using enum scope;

constexpr double KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;
constexpr double hour = 3600, day = 24 * hour;

constexpr std::array<std::string_view, 2> kinds{"router", "xpub"};
constexpr std::array<std::string_view, 6> isas{"auto",     "scalar",      "avx2",
                                               "avx_vnni", "avx512_vnni", "neon"};
constexpr std::array<std::string_view, 3> kv_types{"f16", "f32", "q8"};
constexpr std::array<std::string_view, 3> i2s_layouts{"common", "lanes16", "rows4"};
constexpr std::array<std::string_view, 3> activation_words{"model", "absmax", "none"};
constexpr std::array<std::string_view, 2> weight_words{"two_bits", "base3"};
constexpr std::array<std::string_view, 7> levels{"trace", "debug",    "info", "warn",
                                                 "error", "critical", "off"};

// Of a number: what plain numbers count, least and largest value.
struct bounds {
  std::string_view unit;
  double min, max;
};
using choices = std::span<const std::string_view>;

constexpr key row(std::string_view path, value_type type, scope acts, bounds b,
                  std::string_view about, accessor field) {
  return {path, home::main, type, acts, b.unit, b.min, b.max, {}, false, about, field};
}
constexpr key row(std::string_view path, value_type type, scope acts, std::string_view about,
                  accessor field) {
  return row(path, type, acts, bounds{}, about, field);
}
constexpr key word_row(std::string_view path, scope acts, choices words, std::string_view about,
                       accessor field) {
  return {path, home::main, word, acts, {}, 0, 0, words, false, about, field};
}
constexpr key required(key k) {
  k.required = true;
  return k;
}

template <auto Member> constexpr auto model_field = field::element<Member, &config::models>;
template <auto Member> constexpr auto socket_field = field::element<Member, &config::sockets>;
template <auto Member> constexpr auto principal_field = field::element<Member, &config::principals>;
template <auto Member>
constexpr auto node_field = field::element<Member, &config::hardware, &hardware_config::nodes>;
template <auto Member> constexpr auto hardware_field = field::plain<&config::hardware, Member>;
template <auto Member> constexpr auto limit_field = field::plain<&config::limits, Member>;
template <auto... Members>
constexpr auto profile_field = field::plain<&config::profile, Members...>;
template <auto Member>
constexpr auto sampling_field = profile_field<&profile_config::sampling, Member>;
template <auto Member> constexpr auto policy_field = profile_field<&profile_config::cache, Member>;
template <auto Member> constexpr auto phase_field = profile_field<&profile_config::phases, Member>;

template <std::size_t Class> constexpr key class_weight(std::string_view path) {
  return row(path, whole, step, {"shares", 1, 1000}, "share of the steps against the other classes",
             field::of_class<Class, &class_config::weight>);
}
template <std::size_t Class> constexpr key class_max_wait(std::string_view path) {
  return row(path, duration, step, {"s", 1, 30 * day},
             "a job that has waited this long goes before its class",
             field::of_class<Class, &class_config::max_wait>);
}

// bitnetd.yaml, in the order in which the example names them.
constexpr std::array main_keys{
    required(row("models[].name", name, model, "the name that jobs use",
                 model_field<&model_config::name>)),
    required(row("models[].path", file_path, model,
                 "a GGUF file or a Hugging Face folder; relative to the configuration file",
                 model_field<&model_config::path>)),
    row("models[].template", optional_name, model,
        "name of a built-in chat template; \"\" takes the file's own",
        model_field<&model_config::chat_template>),
    row("models[].embedding", boolean, model,
        "this model computes the embeddings of the similarity cache; at most one does",
        model_field<&model_config::embedding>),
    word_row("models[].i2s_layout", model, i2s_layouts,
             "layout of I2_S tensors, which no file tells; common unless bitnet.cpp wrote the file "
             "on ARM (lanes16) or without ACT_PARALLEL (rows4)",
             model_field<&model_config::i2s_layout>),
    word_row("models[].activations", model, activation_words,
             "input of the projections: as the family was trained (model), int8 per token "
             "(absmax) or float (none)",
             model_field<&model_config::activations>),
    word_row("models[].weights", model, weight_words,
             "ternary weights in memory: two_bits, or base3, a fifth less: faster where few "
             "sequences run at a time and memory is the limit, slower where many do; answers are "
             "the same",
             model_field<&model_config::weights>),

    required(row("sockets[].name", name, restart, "front, admin, events or another name",
                 socket_field<&socket_config::name>)),
    required(row("sockets[].endpoint", endpoint, restart,
                 "ipc://PATH (a relative one lies in the runtime directory) or tcp://IP:PORT",
                 socket_field<&socket_config::endpoint>)),
    word_row("sockets[].kind", restart, kinds, "router takes jobs, xpub publishes events",
             socket_field<&socket_config::kind>),
    row("sockets[].principal", name, restart,
        "whose jobs these are: limits and cached answers are kept apart by principal",
        socket_field<&socket_config::principal>),
    word_row("sockets[].may", restart, role_words, "admin includes submit, submit includes read",
             socket_field<&socket_config::may>),
    row("sockets[].mode", file_mode, restart, {"octal", 0600, 0777},
        "file mode of the socket: who may connect", socket_field<&socket_config::mode>),
    row("sockets[].curve", boolean, restart,
        "clients need a key of clients.d, which says whose jobs these are; traffic is encrypted",
        socket_field<&socket_config::curve>),
    row("sockets[].insecure", boolean, restart,
        "serve tcp without keys: anyone on this machine can connect; loopback only",
        socket_field<&socket_config::insecure>),

    required(row("principals[].name", name, job, "as a socket or a file of clients.d names it",
                 principal_field<&principal_config::name>)),
    word_row("principals[].may", job, role_words,
             "of clients with a key; never more than their socket allows",
             principal_field<&principal_config::may>),
    row("principals[].weight", whole, job, {"shares", 1, 1000},
        "share of compute time against the other principals of a class",
        principal_field<&principal_config::weight>),
    row("principals[].open_jobs", whole, job, {"jobs", 0, 1'000'000},
        "in place of limits.open_jobs; 0: as for everybody",
        principal_field<&principal_config::open_jobs>),
    row("principals[].open_bytes", size, job, {"bytes", 0, TiB},
        "in place of limits.open_bytes; 0: as for everybody",
        principal_field<&principal_config::open_bytes>),
    row("principals[].cache_namespace", optional_name, job,
        "principals that name the same share cached answers; \"\": nobody else's",
        principal_field<&principal_config::cache_namespace>),

    word_row("hardware.isa", restart, isas, "instruction set of the kernels; auto takes the best",
             hardware_field<&hardware_config::isa>),
    required(row("hardware.nodes[].cpus", cpu_list, restart, {"CPU numbers", 0, 65535},
                 "the CPUs that one worker computes on", node_field<&node_config::cpus>)),
    row("hardware.nodes[].memory_node", whole, restart, {"NUMA node", 0, 1023},
        "where its weights and KV pages lie; not given: where its CPUs are",
        node_field<&node_config::memory_node>),
    row("hardware.model_bytes", size, restart, {"bytes", 0, 16 * TiB},
        "most memory for the weights of all models, on all workers; 0: what the machine has",
        hardware_field<&hardware_config::model_bytes>),
    row("hardware.kv_bytes", size, restart, {"bytes", MiB, 16 * TiB},
        "memory for keys and values, per worker and model",
        hardware_field<&hardware_config::kv_bytes>),
    word_row("hardware.kv_type", restart, kv_types, "number type of keys and values",
             hardware_field<&hardware_config::kv_type>),
    row("hardware.max_sequences", whole, restart, {"sequences", 1, 1024},
        "sequences in flight, per worker and model",
        hardware_field<&hardware_config::max_sequences>),
    row("hardware.caf_threads", whole, restart, {"threads", 0, 64},
        "threads that run the actors; computing has its own; 0: one on up to four CPUs, else two",
        hardware_field<&hardware_config::caf_threads>),

    row("limits.body_bytes", size, job, {"bytes", KiB, 64 * MiB}, "largest body of one message",
        limit_field<&limits_config::body_bytes>),
    row("limits.max_tokens", whole, job, {"tokens", 1, 1 << 20},
        "most tokens that one job may ask for", limit_field<&limits_config::max_tokens>),
    row("limits.open_jobs", whole, job, {"jobs", 1, 1'000'000},
        "jobs of one principal that have not ended", limit_field<&limits_config::open_jobs>),
    row("limits.open_bytes", size, job, {"bytes", KiB, TiB},
        "request bytes of one principal held in memory", limit_field<&limits_config::open_bytes>),
    row("limits.batch_items", whole, job, {"items", 1, 1'000'000}, "items of one batch job",
        limit_field<&limits_config::batch_items>),
    row("limits.result_retention", duration, job, {"s", 1, 3650 * day},
        "how long results of durable jobs are kept", limit_field<&limits_config::result_retention>),
    row("limits.drain_timeout", duration, job, {"s", 1, hour},
        "how long a stop waits for running jobs", limit_field<&limits_config::drain_timeout>),
    row("limits.result_bytes", size, job, {"bytes", MiB, 1024 * TiB},
        "stored jobs and results; above it the oldest ended ones go, then new ones are refused",
        limit_field<&limits_config::result_bytes>),
    row("limits.disk_reserve", size, job, {"bytes", 0, 1024 * TiB},
        "below this much room on the journal's disk new durable jobs are refused",
        limit_field<&limits_config::disk_reserve_bytes>),

    row("cache.max_bytes", size, step, {"bytes", 64 * KiB, 1024 * TiB},
        "stored answers; above it the least useful go",
        field::plain<&config::cache, &cache_store_config::max_bytes>),
    row("cache.principal_share", real, step, {"share", 0.01, 1},
        "of a full cache, a principal that holds more than this loses entries first",
        field::plain<&config::cache, &cache_store_config::principal_share>),

    word_row("log.level", step, levels, "least severe messages that are written",
             field::plain<&config::log, &log_config::level>),

    row("profile", name, step, "the active profile: profiles/NAME.yaml beside this file",
        profile_field<&profile_config::name>),
};

// profiles/NAME.yaml.
constexpr std::array profile_keys{
    row("batch.max_sequences", whole, step, {"sequences", 1, 1024},
        "sequences that share a step, per worker",
        profile_field<&profile_config::batch, &batch_config::max_sequences>),
    row("batch.max_tokens", whole, step, {"tokens", 1, 65536},
        "rows of one step: prompt and new tokens together",
        profile_field<&profile_config::batch, &batch_config::max_tokens>),

    row("chunk.prefill_tokens", whole, step, {"tokens", 1, 65536},
        "most prompt tokens of one sequence per step",
        profile_field<&profile_config::chunk, &chunk_config::prefill_tokens>),

    row("targets.step", duration, step, {"ms", 1, 60'000},
        "a step is filled up to this predicted time",
        profile_field<&profile_config::targets, &targets_config::step>),
    row("targets.first_token", duration, step, {"ms", 1, 1000 * hour},
        "wanted time to the first token; orders interactive jobs",
        profile_field<&profile_config::targets, &targets_config::first_token>),

    row("threads", whole, step, {"threads", 0, 1024},
        "compute threads per worker; 0: one per CPU of its node",
        profile_field<&profile_config::threads>),

    class_weight<0>("classes.interactive.weight"),
    class_max_wait<0>("classes.interactive.max_wait"),
    class_weight<1>("classes.normal.weight"),
    class_max_wait<1>("classes.normal.max_wait"),
    class_weight<2>("classes.batch.weight"),
    class_max_wait<2>("classes.batch.max_wait"),
    class_weight<3>("classes.background.weight"),
    class_max_wait<3>("classes.background.max_wait"),

    row("sampling.temperature", real, job, {"", 0, 100},
        "0 is greedy: the same answer every time, which can be cached",
        sampling_field<&sampling_defaults::temperature>),
    row("sampling.top_p", real, job, {"probability", 0.001, 1},
        "keep the most likely tokens that make up this share; 1: all",
        sampling_field<&sampling_defaults::top_p>),
    row("sampling.min_p", real, job, {"probability", 0, 0.999},
        "drop tokens below this share of the most likely one; 0: none",
        sampling_field<&sampling_defaults::min_p>),
    row("sampling.top_k", whole, job, {"tokens", 0, 1'000'000},
        "keep this many of the most likely tokens; 0: all",
        sampling_field<&sampling_defaults::top_k>),
    row("sampling.repetition_penalty", real, job, {"", 0.01, 100},
        "above 1 makes recent tokens less likely; 1: off",
        sampling_field<&sampling_defaults::repetition_penalty>),
    row("sampling.max_tokens", whole, job, {"tokens", 1, 1 << 20},
        "most new tokens when the job does not say",
        sampling_field<&sampling_defaults::max_tokens>),
    row("sampling.quality_retries", whole, job, {"retries", 0, 10},
        "new attempts with the next seed after a failed quality check; sampled jobs only",
        sampling_field<&sampling_defaults::quality_retries>),

    word_row("cache.mode", job, cache_mode_words,
             "off; exact: equal requests only; shadow: similar ones are found and logged, not "
             "used; on: used",
             policy_field<&cache_policy::mode>),
    row("cache.ttl", duration, step, {"s", 1, 3650 * day}, "an answer is served this long",
        policy_field<&cache_policy::ttl>),
    row("cache.stale_while_revalidate", duration, step, {"s", 0, 3600},
        "an answer that expired this long ago is still served, and computed anew behind that",
        policy_field<&cache_policy::stale_while_revalidate>),
    row("cache.threshold", real, step, {"cosine", 0, 1},
        "least similarity of two requests that share an answer",
        policy_field<&cache_policy::threshold>),
    row("cache.min_confidence", real, step, {"probability", 0, 1},
        "least calibrated confidence that the similar request's answer is right",
        policy_field<&cache_policy::min_confidence>),
    word_row("cache.trust", step, cache_trust_words,
             "measured: similar ones are served from the confidence whose wrong hits were measured "
             "to be few enough; threshold: from cache.threshold on, and nothing is promised",
             policy_field<&cache_policy::trust>),
    row("cache.max_wrong", real, step, {"share", 0.001, 0.5},
        "upper bound on the share of wrong answers among similarity hits (trust: measured)",
        policy_field<&cache_policy::max_wrong>),

    row("phases.analysis", boolean, job, "phase 1: cost, similarity, forecast, strategy",
        phase_field<&phases_config::analysis>),
    row("phases.cache", boolean, job, "phase 2: ask the cache before computing",
        phase_field<&phases_config::cache>),
    row("phases.batching", boolean, job, "phase 3: share steps between jobs",
        phase_field<&phases_config::batching>),
    row("phases.checks", boolean, job, "phase 4: quality checks of the answer",
        phase_field<&phases_config::checks>),
};
constexpr auto keys = [] {
  std::array<key, main_keys.size() + profile_keys.size()> out{};
  std::size_t n = 0;
  for (const auto& k : main_keys)
    out[n++] = k;
  for (const auto& k : profile_keys) {
    out[n] = k;
    out[n++].stands_in = home::profile;
  }
  return out;
}();

template <auto... Members>
constexpr list_key list(std::string_view path, scope acts, std::size_t most,
                        std::string_view about) {
  return {path,
          acts,
          most,
          about,
          [](const config& of) { return (of.*....*Members).size(); },
          [](config& into, std::size_t elements) { (into.*....*Members).resize(elements); },
          [](config& into, const config& from) { (into.*....*Members) = (from.*....*Members); }};
}

constexpr std::array lists{
    list<&config::models>("models", model, 64, "the models to serve, by name"),
    list<&config::sockets>("sockets", restart, 64, "the endpoints to listen on"),
    list<&config::principals>("principals", job, 4096, "what differs for one principal"),
    list<&config::hardware, &hardware_config::nodes>(
        "hardware.nodes", restart, 256,
        "one worker each, with its CPUs; not given: one per NUMA node of the machine"),
};

} // namespace

std::span<const key> all_keys() { return keys; }
std::span<const list_key> all_lists() { return lists; }

} // namespace bitnetd::conf
