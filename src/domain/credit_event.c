#include "domain/credit_event.h"

#include "domain/render.h"

enum err credit_event(struct call *call, enum event_type type, const struct id *org_id,
                      enum environment environment, const struct transaction *transaction)
{
    struct event_data data;
    event_data_begin(call, &data);
    render_transaction(&data.out, NULL, transaction);
    return event_emit(call, &(struct occurrence){
                                .org_id = *org_id,
                                .environment = environment,
                                .type = type,
                                .subject_id = transaction->id,
                                .data = event_data_end(&data),
                            });
}

enum err credit_event_of_last(struct call *call, enum event_type type, const struct id *org_id,
                              enum environment environment)
{
    struct transaction transaction;
    enum err           e = ledger_last(call, org_id, environment, &transaction);
    if (e) return e;
    return credit_event(call, type, org_id, environment, &transaction);
}

enum err credit_event_of_balance(struct call *call, const struct id *org_id,
                                 enum environment environment, const struct balance *balance)
{
    struct event_data data;
    event_data_begin(call, &data);
    render_balance(&data.out, NULL, balance);
    return event_emit(call, &(struct occurrence){
                                .org_id = *org_id,
                                .environment = environment,
                                .type = EVENT_CREDITS_LOW_BALANCE,
                                .subject_id = *org_id,
                                .data = event_data_end(&data),
                            });
}
