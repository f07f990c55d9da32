// SPDX-License-Identifier: MIT
#include "conf/checks.h"

#include "conf/endpoint.h"
#include "conf/schema.h"

#include <algorithm>
#include <initializer_list>

namespace bitnetd::conf {

namespace {

constexpr std::size_t most_endpoint_bytes =
    most_socket_path_bytes + std::string_view{"ipc://"}.size();

class checks {
public:
  checks(const checked& what, std::vector<problem>& problems) : what_(what), problems_(problems) {}

  void models() {
    const auto& list = what_.values.models;
    if (list.empty() && !what_.failed.contains("models"))
      report({"models"}, "expected at least one model, such as [{name: chat, path: chat.gguf}]");
    unique("models", list, "name", &model_config::name);
    std::string embedder;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto path = "models[" + std::to_string(i) + "].embedding";
      if (list[i].embedding && !embedder.empty())
        report({path}, "one model at most computes embeddings; " + embedder + " does already");
      else if (list[i].embedding)
        embedder = "models[" + std::to_string(i) + "] (" + list[i].name + ')';
    }
  }

  void sockets() {
    const auto& list = what_.values.sockets;
    unique("sockets", list, "name", &socket_config::name);
    unique("sockets", list, "endpoint", &socket_config::endpoint);
    // Those of the file were checked when they were read, the defaults were not.
    for (const auto& s : list)
      if (!what_.places.contains("sockets") && s.endpoint.size() > most_endpoint_bytes)
        report({"sockets"}, "the default endpoint " + printable(s.endpoint) +
                                " is too long for a socket; name shorter ones here");
    for (std::size_t i = 0; i < list.size(); ++i)
      security(list[i], "sockets[" + std::to_string(i) + "].endpoint");
    const bool any_failed = std::ranges::any_of(
        what_.failed, [](const std::string& path) { return path.starts_with("sockets"); });
    if (!any_failed && std::ranges::none_of(list, [](const auto& s) { return s.kind == "router"; }))
      report({"sockets"}, "expected at least one of kind router, or no job could come in");
  }

  void principals() {
    unique("principals", what_.values.principals, "name", &principal_config::name);
  }

  void nodes() {
    std::map<int, std::size_t> taken;
    const auto& list = what_.values.hardware.nodes;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto node = "hardware.nodes[" + std::to_string(i) + ']';
      for (const int cpu : list[i].cpus) {
        const auto [owner, is_new] = taken.emplace(cpu, i);
        if (!is_new)
          report({node + ".cpus"}, "CPU " + std::to_string(cpu) + " stands in hardware.nodes[" +
                                       std::to_string(owner->second) +
                                       "] already; a CPU belongs to one node");
        else if (!has(what_.on.cpus, cpu))
          report({node + ".cpus"}, "this machine has no CPU " + std::to_string(cpu) + "; it has " +
                                       ranges(what_.on.cpus));
      }
      if (const auto memory = list[i].memory_node; memory && !has(what_.on.memory_nodes, *memory))
        report({node + ".memory_node"}, "this machine has no memory node " +
                                            std::to_string(*memory) + "; it has " +
                                            ranges(what_.on.memory_nodes));
    }
  }

  void isa() {
    const auto& wanted = what_.values.hardware.isa;
    const auto& known = what_.on.isas;
    if (!usable({"hardware.isa"}) || wanted == "auto" || known.empty() ||
        std::ranges::find(known, wanted) != known.end())
      return;
    std::string list = "auto";
    for (const auto& name : known)
      list += ", " + name;
    report({"hardware.isa"}, "the CPU of this machine lacks " + wanted + "; it has " + list);
  }

  // At least one worker and every model that generates has its own pool.
  void memory() {
    const auto& hardware = what_.values.hardware;
    const auto workers = std::max<std::size_t>(1, hardware.nodes.size());
    const auto generating =
        std::ranges::count(what_.values.models, false, &model_config::embedding);
    const auto pools = workers * static_cast<std::size_t>(std::max<std::ptrdiff_t>(1, generating));
    const auto available = what_.on.memory_bytes;
    if (usable({"hardware.kv_bytes"}) && available > 0 && available / pools < hardware.kv_bytes)
      report({"hardware.kv_bytes"}, bytes(hardware.kv_bytes) + " for each of " +
                                        std::to_string(pools) + (pools == 1 ? " pool" : " pools") +
                                        " (workers times models) is more than the " +
                                        std::to_string(available >> 20) + "MiB of this machine");
  }

  void profile() {
    const auto& p = what_.values.profile;
    const auto& limits = what_.values.limits;
    at_most({"batch.max_sequences", p.batch.max_sequences},
            {"batch.max_tokens", p.batch.max_tokens},
            "each sequence of a step takes at least one of its rows");
    at_most({"chunk.prefill_tokens", p.chunk.prefill_tokens},
            {"batch.max_tokens", p.batch.max_tokens}, "a chunk is part of one step");
    at_most({"sampling.max_tokens", p.sampling.max_tokens},
            {"limits.max_tokens", limits.max_tokens},
            "every job that does not say would be refused");
    at_most({"limits.body_bytes", limits.body_bytes}, {"limits.open_bytes", limits.open_bytes},
            "the largest message could never come in");
    const bool embeds = std::ranges::any_of(what_.values.models, &model_config::embedding);
    if (p.cache.mode == cache_mode::on && !embeds && usable({"cache.mode", "models"}))
      report({"cache.mode"}, "on needs a model with embedding: true; exact works without");
  }

private:
  // Nobody gets in by the network alone: keys, or the operator's word on loopback.
  void security(const socket_config& socket, const std::string& at) {
    if (socket.curve && socket.insecure)
      report({at}, "either curve: true or insecure: true");
    else if (socket.kind == "xpub" && (socket.curve || is_tcp(socket.endpoint)))
      report({at}, "events are served on ipc without curve only: a key could not be taken back "
                   "from who subscribed with it");
    else if (is_tcp(socket.endpoint) && !socket.curve && !socket.insecure)
      report({at}, "tcp needs curve: true (every client has a key: bitnetctl keys), or on loopback "
                   "insecure: true");
    else if (is_tcp(socket.endpoint) && !socket.curve && !is_loopback(socket.endpoint))
      report({at}, "without curve only loopback is served: anyone who reaches the port could send "
                   "jobs");
  }

  struct amount {
    std::string path;
    std::uint64_t number;
  };

  void at_most(const amount& small, const amount& large, const std::string& why) {
    if (small.number > large.number && usable({small.path, large.path}))
      report({small.path, large.path}, small.path + " (" + shown(small.path) + ") is above " +
                                           large.path + " (" + shown(large.path) + "): " + why);
  }

  template <class Element>
  void unique(const std::string& list, const std::vector<Element>& elements,
              const std::string& leaf, std::string Element::*field) {
    std::map<std::string, std::size_t> first_with;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto& text = elements[i].*field;
      if (text.empty())
        continue; // could not be read
      const auto [first, is_new] = first_with.emplace(text, i);
      if (!is_new)
        report({list + '[' + std::to_string(i) + "]." + leaf},
               '"' + printable(text) + "\" is that of " + list + '[' +
                   std::to_string(first->second) + "] already");
    }
  }

  [[nodiscard]] bool usable(std::initializer_list<std::string> paths) const {
    return std::ranges::none_of(paths,
                                [&](const auto& path) { return what_.failed.contains(path); });
  }

  // At the first of the keys that stands in a file; the others have their defaults.
  void report(std::initializer_list<std::string> paths, std::string message) {
    for (const auto& path : paths)
      if (const auto found = what_.places.find(path); found != what_.places.end()) {
        const auto& [file, at] = found->second;
        problems_.push_back({file, at.line, at.column, path, std::move(message)});
        return;
      }
    problems_.push_back({what_.file, 0, 0, *paths.begin(), std::move(message)});
  }

  [[nodiscard]] std::string shown(const std::string& path) const {
    return render(what_.values, *find_key(path));
  }

  // What the machine does not tell is not checked.
  static bool has(const std::vector<int>& known, int number) {
    return known.empty() || std::ranges::binary_search(known, number);
  }

  static std::string bytes(std::uint64_t n) {
    return write_value(static_cast<std::int64_t>(n), value_type::size, {});
  }

  // 0-3, 8
  static std::string ranges(const std::vector<int>& numbers) {
    std::string out;
    for (std::size_t i = 0; i < numbers.size();) {
      auto last = i;
      while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1)
        ++last;
      out += (out.empty() ? "" : ", ") + std::to_string(numbers[i]);
      if (last > i)
        out += '-' + std::to_string(numbers[last]);
      i = last + 1;
    }
    return out;
  }

  const checked& what_;
  std::vector<problem>& problems_;
};

} // namespace

void check_combinations(const checked& what, std::vector<problem>& problems) {
  checks run(what, problems);
  run.models();
  run.sockets();
  run.principals();
  run.nodes();
  run.isa();
  run.memory();
  run.profile();
}

} // namespace bitnetd::conf
