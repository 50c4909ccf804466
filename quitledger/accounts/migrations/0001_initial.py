import django.contrib.postgres.functions
import quitledger.accounts.permissions
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [('audit', '0001_initial')]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('username', models.CharField(error_messages={'unique': '已經有這個帳號，請改用別的名稱。'}, max_length=60, unique=True, verbose_name='帳號')),
                ('display_name', models.CharField(max_length=60, verbose_name='姓名')),
                ('agency_role', models.CharField(blank=True, choices=[(quitledger.accounts.permissions.Role['DESK_OFFICER'], '窗口人員'), (quitledger.accounts.permissions.Role['DESK_SUPERVISOR'], '窗口主管'), (quitledger.accounts.permissions.Role['ANALYST'], '分析人員'), (quitledger.accounts.permissions.Role['ADMINISTRATOR'], '系統管理者')], max_length=20, verbose_name='主管機關或窗口角色')),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('agency_role__in', ['', quitledger.accounts.permissions.Role['DESK_OFFICER'], quitledger.accounts.permissions.Role['DESK_SUPERVISOR'], quitledger.accounts.permissions.Role['ANALYST'], quitledger.accounts.permissions.Role['ADMINISTRATOR']])), name='accounts_user_agency_role')],
            },
        ),
    ]
