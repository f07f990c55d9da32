// SPDX-License-Identifier: MIT
#include <jemalloc/jemalloc.h>

// How jemalloc keeps memory, read by it before main. Few arenas, because what a burst of requests
// took is kept once per arena; a thread of its own gives back what was not used for two seconds,
// also when nothing happens any more.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:4,background_thread:true,max_background_threads:1,"
                          "dirty_decay_ms:2000,muzzy_decay_ms:0";
