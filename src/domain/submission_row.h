/* The rows of submissions: written here for the rules of submission.c; read and listed through
 * submission.h. */
#ifndef FIRSTHAND_DOMAIN_SUBMISSION_ROW_H
#define FIRSTHAND_DOMAIN_SUBMISSION_ROW_H

#include "domain/submission.h"

/* Insert, or replace everything that a second attempt changes. score_record may be absent. */
MUST_USE enum err submission_save(struct call *call, const struct submission *row,
                                  struct str score_record);

#endif
