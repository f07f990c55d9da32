// SPDX-License-Identifier: MIT
#include "actors/job_documents.h"

namespace bitnetd::actors {

job_status status_of(const store::job_record& record) {
  job_status out;
  out.id = record.id;
  out.principal = record.principal;
  out.state = record.state;
  out.cls = record.cls;
  out.model = record.model;
  out.attempt = record.attempts + 1;
  out.created_us = record.created_us;
  out.started_us = record.started_us;
  out.ended_us = record.ended_us;
  out.deadline_us = record.deadline_us;
  out.parent = record.parent;
  out.index = record.index;
  out.children = record.items;
  out.error = record.error;
  return out;
}

store::open_job order_of(const job_status& job) {
  return {job.id, job.cls, job.deadline_us, 0, job.principal};
}

nlohmann::json to_json(const job_status& what) {
  nlohmann::json out{{"job", what.id.text()},
                     {"state", store::name(what.state)},
                     {"class", store::name(what.cls)},
                     {"attempt", what.attempt}};
  if (!what.model.empty())
    out["model"] = what.model;
  const auto stamp = [&out](const char* name, std::int64_t us) {
    if (us > 0)
      out[name] = us;
  };
  stamp("created_us", what.created_us);
  stamp("started_us", what.started_us);
  stamp("ended_us", what.ended_us);
  stamp("deadline_us", what.deadline_us);
  if (what.parent) {
    out["parent"] = what.parent->text();
    out["index"] = what.index;
  }
  if (what.children > 0)
    out["children"] = {
        {"total", what.children}, {"done", what.children_done}, {"failed", what.children_failed}};
  if (!what.error.empty())
    out["error"] = {{"msg", what.error}};
  return out;
}

} // namespace bitnetd::actors
