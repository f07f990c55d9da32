// SPDX-License-Identifier: MIT
#include "engine/products.h"

#include "engine/parallel.h"

#include <algorithm>
#include <cassert>

namespace bitnetd::engine {

namespace {

/// Rows of one product and tokens that are computed together.
struct part {
  std::size_t first, n_tokens, from, to;
  [[nodiscard]] std::size_t n_rows() const noexcept { return to - from; }
};

/// A product cut into parts: chunk after chunk of rows for one block of tokens, whose activations
/// then stay in the second-level cache; weights are little beside them.
struct partition {
  std::size_t rows, n_tokens;

  explicit partition(const product& one)
      : rows{one.matrix->rows()}, n_tokens{one.input->n_rows()} {}
  [[nodiscard]] std::size_t n_chunks() const noexcept {
    return (rows + max_part_rows - 1) / max_part_rows;
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return n_chunks() * ((n_tokens + max_part_tokens - 1) / max_part_tokens);
  }
  [[nodiscard]] part operator[](std::size_t i) const noexcept {
    const auto row = i % n_chunks() * max_part_rows, token = i / n_chunks() * max_part_tokens;
    return {token, std::min(max_part_tokens, n_tokens - token), row,
            std::min(rows, row + max_part_rows)};
  }
};

/// Runs `body(i)` for all of `n` parts that take `total_ns` together.
template <class Body>
void for_parts(const compute_context& on, std::size_t n, std::size_t total_ns, const Body& body) {
  for_runs(on.node, n, std::max<std::size_t>(1, total_ns / n),
           [&](std::size_t from, std::size_t to) {
             for (auto i = from; i < to; ++i)
               body(i);
           });
}

void compute(const product& one, const part& p, float* out, std::size_t stride,
             const kernel_table& kernels) {
  one.matrix->apply_part(*one.input, p.first, p.n_tokens, p.from, p.to, out, stride, kernels);
}

/// Where a part of the result lies.
float* in_result(const product& one, const part& p) {
  return one.out.data() + p.first * one.matrix->rows() + p.from;
}

void prepare(const product& one, const compute_context& on) {
  assert(one.out.size() == one.input->n_rows() * one.matrix->rows());
  one.matrix->prepare(*one.input, on);
}

} // namespace

void multiply(std::span<const product> all, const compute_context& on) {
  std::size_t n_parts = 0, total_ns = 0;
  for (const auto& one : all) {
    prepare(one, on);
    n_parts += partition{one}.size();
    total_ns += one.matrix->nanoseconds(*one.input);
  }
  for_parts(on, n_parts, total_ns, [&](std::size_t i) {
    const auto* one = all.data();
    for (auto n = partition{*one}.size(); i >= n; n = partition{*one}.size()) {
      i -= n;
      ++one;
    }
    const auto p = partition{*one}[i];
    compute(*one, p, in_result(*one, p), one->matrix->rows(), on.kernels);
  });
}

void multiply_add(const product& one, const compute_context& on) {
  prepare(one, on);
  const partition parts{one};
  for_parts(on, parts.size(), one.matrix->nanoseconds(*one.input), [&](std::size_t i) {
    alignas(64) float values[max_part_tokens * max_part_rows];
    const auto p = parts[i];
    compute(one, p, values, max_part_rows, on.kernels);
    auto* out = in_result(one, p);
    for (std::size_t t = 0; t < p.n_tokens; ++t, out += one.matrix->rows())
      for (std::size_t r = 0; r < p.n_rows(); ++r)
        out[r] += values[t * max_part_rows + r];
  });
}

void multiply_gated(const product& gate, const product& up, gated_fn* activation,
                    const compute_context& on) {
  assert(gate.matrix->rows() == up.matrix->rows());
  prepare(gate, on);
  up.matrix->prepare(*up.input, on);
  const partition parts{gate};
  const auto total_ns = gate.matrix->nanoseconds(*gate.input) + up.matrix->nanoseconds(*up.input);
  for_parts(on, parts.size(), total_ns, [&](std::size_t i) {
    alignas(64) float up_values[max_part_tokens * max_part_rows];
    const auto p = parts[i];
    auto* out = in_result(gate, p);
    compute(gate, p, out, gate.matrix->rows(), on.kernels);
    compute(up, p, up_values, max_part_rows, on.kernels);
    for (std::size_t t = 0; t < p.n_tokens; ++t, out += gate.matrix->rows())
      activation(out, up_values + t * max_part_rows, p.n_rows(), out);
  });
}

void linear::apply(linear_input& in, std::span<float> out, const compute_context& on) const {
  const product one{this, &in, out};
  multiply({&one, 1}, on);
}

} // namespace bitnetd::engine
