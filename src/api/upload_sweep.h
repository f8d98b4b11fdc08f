/* What time does to uploads: the sweeper's part that touches the disk. */
#ifndef FIRSTHAND_API_UPLOAD_SWEEP_H
#define FIRSTHAND_API_UPLOAD_SWEEP_H

/* Expire the uploads whose time is over and remove their parts; once an hour also remove parts and
 * blobs, older than a day, that no row wants (what a crash between disk and commit leaves). context
 * is the struct api. Failures are logged and met again by the next sweep. Never on a poll thread.
 */
void upload_sweep(void *context);

#endif
