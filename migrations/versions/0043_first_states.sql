-- A first state is read in parts, whose rows wait in tables made for it. They are made with the rights of whoever owns
-- the tables, as the writer may only write rows: for those only that may write cursors. Unlogged, as what is lost with
-- the server is read anew. Every name is told with its schema: a caller's own temporary tables must not stand in.

create function first_state_table(id integer, name text) returns text
language plpgsql volatile security definer set search_path from current as $$
declare
    place constant text := quote_ident(current_schema());
    made constant text := format('first_state_%s_%s', id, name);
begin
    if not has_table_privilege(session_user, place || '.cursors', 'UPDATE') then
        raise insufficient_privilege using message = 'only who writes cursors may keep a first state';
    end if;
    if to_regclass(place || '.' || quote_ident(made)) is null then
        if id is null or name is null or to_regclass(place || '.' || quote_ident(name)) is null then
            raise exception 'no first state % with rows of a table "%" can be kept', id, name
                using errcode = 'invalid_parameter_value', hint = 'See first_states, and the tables of the datasets.';
        end if;
        execute format('create unlogged table %s.%I as select * from %s.%I with no data', place, made, place, name);
        execute format('alter table %s.%I drop column block_number', place, made);
        execute format(
            'comment on table %s.%I is %L', place, made, 'Rows of a first state that is not whole yet: see first_states.'
        );
    end if;
    if not has_table_privilege(session_user, place || '.' || quote_ident(made), 'INSERT')
        or not has_table_privilege(session_user, place || '.' || quote_ident(made), 'SELECT')
    then  -- made just now, or by a writer that had another role
        execute format('grant select, insert, update, delete on %s.%I to %I', place, made, session_user);
    end if;
    return made;
end
$$;
comment on function first_state_table(integer, text) is
'The table in which rows of a table wait for the rest of a first state; made if it is not there. For the indexer.';

create function first_state_forget(id integer) returns void
language plpgsql volatile security definer set search_path from current as $$
declare
    place constant text := quote_ident(current_schema());
    made text;
begin
    if not has_table_privilege(session_user, place || '.cursors', 'UPDATE') then
        raise insufficient_privilege using message = 'only who writes cursors may drop a first state';
    end if;
    for made in
        select c.relname from pg_catalog.pg_class c
        where c.relnamespace = place::regnamespace and c.relkind = 'r' and c.relpersistence = 'u'
        and starts_with(c.relname::text, format('first_state_%s_', id))
    loop
        execute format('drop table %s.%I', place, made);
    end loop;
    execute format('delete from %s.first_states where id = $1', place) using id;
end
$$;
comment on function first_state_forget(integer) is
'Drops what waits of a first state, and that it was begun. For the indexer.';
