// SPDX-License-Identifier: MIT
#include "engine/node.h"

#include <hwloc.h>

#include <memory>
#include <stdexcept>

namespace bitnetd::engine {

namespace {

struct topology_destroyer {
  void operator()(hwloc_topology_t topology) const noexcept { hwloc_topology_destroy(topology); }
};
using topology_owner = std::unique_ptr<hwloc_topology, topology_destroyer>;

struct bitmap_free {
  void operator()(hwloc_bitmap_t set) const noexcept { hwloc_bitmap_free(set); }
};
using cpu_set = std::unique_ptr<hwloc_bitmap_s, bitmap_free>;

topology_owner load_topology(const std::string& xml) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0)
    throw std::runtime_error("hwloc: cannot start topology discovery");
  topology_owner topology{raw};
  if (!xml.empty() &&
      hwloc_topology_set_xmlbuffer(raw, xml.data(), static_cast<int>(xml.size() + 1)) != 0)
    throw std::runtime_error("hwloc: the topology XML is not readable; record it with "
                             "`lstopo --of xml`");
  if (hwloc_topology_load(raw) != 0)
    throw std::runtime_error("hwloc: topology discovery failed");
  return topology;
}

/// The CPUs that this process may use; all of a recorded machine.
cpu_set allowed_cpus(hwloc_topology_t topology, bool recorded) {
  cpu_set allowed{hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology))};
  const cpu_set bound{hwloc_bitmap_alloc()};
  if (!allowed || !bound)
    throw std::bad_alloc{};
  if (!recorded && hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) == 0)
    hwloc_bitmap_and(allowed.get(), allowed.get(), bound.get());
  return allowed;
}

std::vector<int> common_cpus(hwloc_const_cpuset_t a, hwloc_const_cpuset_t b) {
  std::vector<int> cpus;
  for (int cpu = hwloc_bitmap_first(a); cpu >= 0; cpu = hwloc_bitmap_next(a, cpu))
    if (hwloc_bitmap_isset(b, static_cast<unsigned>(cpu)))
      cpus.push_back(cpu);
  return cpus;
}

} // namespace

std::vector<node_description> discover_nodes(const std::string& topology_xml) {
  const auto topology = load_topology(topology_xml);
  const auto allowed = allowed_cpus(topology.get(), !topology_xml.empty());
  const int n_nodes = hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_NUMANODE);

  std::vector<node_description> nodes;
  for (int i = 0; i < n_nodes; ++i) {
    const auto* node =
        hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_NUMANODE, static_cast<unsigned>(i));
    auto cpus = common_cpus(node->cpuset, allowed.get());
    if (cpus.empty()) // memory without CPUs, or not ours to use
      continue;
    // On a machine with one node there is nothing to bind: containers often forbid even trying.
    const auto memory =
        n_nodes > 1 ? std::optional{static_cast<int>(node->os_index)} : std::nullopt;
    nodes.push_back({std::move(cpus), memory});
  }
  if (nodes.empty())
    throw std::runtime_error("hwloc: no NUMA node has a CPU that this process may use");
  return nodes;
}

} // namespace bitnetd::engine
