/* Trials: a run over a fresh store in a process of its own, so that whatever it dies of is a result
 * to look at, and the same operations, or some of them, can be tried again. */
#ifndef FIRSTHAND_TESTS_TRIAL_H
#define FIRSTHAND_TESTS_TRIAL_H

#include "model.h"

enum { SHRINK_TRIALS_MAX = 1000 };

struct trial *trial_make(int operations_max);
void          trial_free(struct trial *trial, int operations_max);

/* Run it to its end. false: trial->failure says what failed, and trial->begun after how many
 * operations. output: where to what the run prints; NULL = nowhere. */
bool trial_passes(struct trial *trial, FILE *output);

/* The same, of these operations. */
bool trial_passes_with(struct trial *trial, const struct operation *operations, int count);

/* After a failure: leave operations out, and repeats, until none can be spared, or
 * SHRINK_TRIALS_MAX is used up; the same check must fail. What is left is in the trial.
 * Yields how often it was tried. */
int trial_shrink(struct trial *trial);

/* Its operations, one a line, and what to set to play them again. */
void trial_tell(const struct trial *trial, int drawn_count);

#endif
