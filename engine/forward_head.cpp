// SPDX-License-Identifier: MIT
#include "engine/forward_state.h"

#include <algorithm>

namespace bitnetd::engine {

/// Hidden states of the rows that ask, then logits of those that ask for logits.
void forward_pass::state::head() {
  if (n_outputs == 0)
    return;
  const std::size_t width = shape.n_embd;
  const auto hidden = outputs.all().first(n_outputs * width);
  measured(shape.n_layer, operation::norm, [&] {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].output != row_output::none)
        std::copy_n(x.all().data() + i * width, width,
                    outputs.all().data() + output_index[i] * width);
    rms_norm(hidden, n_outputs, width, all->output_norm, shape.rms_eps, hidden, on);
  });
  if (n_logits == 0)
    return;
  measured(shape.n_layer, operation::head, [&] {
    whole_head(0, n_full);
    if (n_full < n_logits)
      screen_head();
  });
}

/// All logits of rows [from, to) of `outputs`.
void forward_pass::state::whole_head(std::size_t from, std::size_t to) {
  if (from == to)
    return;
  const std::size_t width = shape.n_embd, n = to - from;
  const auto& matrix = all->head();
  auto& input = inputs.front();
  input.assign(outputs.all().subspan(from * width, n * width), n, width,
               matrix.is_rounded() ? activation_quantization::absmax
                                   : activation_quantization::none);
  matrix.apply(input, logits.all().subspan(from * shape.n_vocab, n * shape.n_vocab), on);
  matrix.add_cost(n, cost(shape.n_layer, operation::head));
}

/// Whether this step asks the screen. Where most answers failed lately (the logits are too flat for
/// its bounds), reading all at once is faster: it is asked again after 64 steps.
bool forward_pass::state::may_screen() {
  constexpr std::size_t most_failed = 8, pause_steps = 64;
  if (!all->screen)
    return false;
  if (n_failed < most_failed)
    return true;
  if (++n_unscreened < pause_steps)
    return false;
  n_failed = most_failed / 2;
  n_unscreened = 0;
  return true;
}

void forward_pass::state::screen_head() {
  const std::size_t width = shape.n_embd, n = n_logits - n_full;
  const auto& matrix = all->head();
  // A row of its own costs as much as one read with all others: half of them, shared by the batch.
  const auto most_rows = shape.n_vocab / (2 * n);
  const auto found = std::span{answers}.subspan(n_full);
  screened.answer(matrix, *all->screen, outputs.all().subspan(n_full * width, n * width), queries,
                  most_rows, logits.all().subspan(n_full * shape.n_vocab, n * shape.n_vocab), found,
                  on);
  auto& spent = cost(shape.n_layer, operation::head);
  all->screen->copy().add_cost(n, spent);
  spent.weight_bytes += screened.rows_read() * (matrix.weight_bytes() / shape.n_vocab);
  spent.multiplications += screened.rows_read() * width;
  counters.screened += n;
  counters.screen_rows_read += screened.rows_read();

  const auto failed = [](const auto& one) { return !one.has_value(); };
  const auto n_fallbacks = static_cast<std::size_t>(std::ranges::count_if(found, failed));
  counters.screen_fallbacks += n_fallbacks;
  n_failed = n_fallbacks > 0 ? n_failed + n_fallbacks : n_failed / 2;
  if (n_fallbacks == 0)
    return;
  // Whole, all in one pass; what lies between two of them is then whole, too.
  const auto first = std::ranges::find_if(found, failed);
  const auto last = std::find_if(found.rbegin(), found.rend(), failed).base();
  std::for_each(first, last, [](auto& one) { one.reset(); });
  whole_head(n_full + static_cast<std::size_t>(first - found.begin()),
             n_full + static_cast<std::size_t>(last - found.begin()));
}

} // namespace bitnetd::engine
